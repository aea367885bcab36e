/* link_cmd.h - what the commands of `weir link` share. */
#ifndef WEIR_CMD_LINK_CMD_H
#define WEIR_CMD_LINK_CMD_H

#include "base/base.h"

int cmd_link_make(int argc, char **argv);

/* The link, and its QR code if wanted, on standard output; a status. */
int link_print(const char *link, bool qr);

#endif
