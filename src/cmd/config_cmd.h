/* config_cmd.h - the commands of `weir config`, one file each. */
#ifndef WEIR_CMD_CONFIG_CMD_H
#define WEIR_CMD_CONFIG_CMD_H

int cmd_config_init(int argc, char **argv);
int cmd_config_show(int argc, char **argv);
int cmd_config_validate(int argc, char **argv);

#endif
