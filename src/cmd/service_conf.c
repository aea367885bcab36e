/* service_conf.c - which service a configuration is one of. */
#include "cmd/manager_host.h"
#include "cmd/site.h"

int service_start(const struct service_world *world, const struct service_conf *conf,
		  struct service **out)
{
	return conf->manager ? manager_host_start(world, conf->manager, out)
			     : site_start(world, conf->site, out);
}

void service_conf_free(struct service_conf *conf)
{
	manager_file_free(conf->manager);
	site_conf_free(conf->site);
	*conf = (struct service_conf){0};
}

const char *service_conf_area(const struct service_conf *conf)
{
	return conf->manager ? "manager" : "yassp";
}
