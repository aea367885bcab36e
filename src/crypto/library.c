#include "crypto/library.h"

#include <openssl/crypto.h>
#include <stdio.h>

const char *crypto_library(void)
{
	static _Thread_local char text[32];

	snprintf(text, sizeof(text), "OpenSSL %s", OpenSSL_version(OPENSSL_VERSION_STRING));
	return text;
}
