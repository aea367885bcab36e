/* library.h - which crypto library this process runs with. */
#ifndef WEIR_CRYPTO_LIBRARY_H
#define WEIR_CRYPTO_LIBRARY_H

/* "OpenSSL 3.0.17": the one that was loaded, not the one that we were built with. */
const char *crypto_library(void);

#endif
