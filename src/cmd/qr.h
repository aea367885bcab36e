/* qr.h - a QR code in the terminal. */
#ifndef WEIR_CMD_QR_H
#define WEIR_CMD_QR_H

#include <stdio.h>

#include "base/base.h"

/* Black on white in half blocks, two modules a character cell, with its quiet zone; on a terminal
 * the colours are set, so that its theme does not matter.  0, -ERR_TOO_BIG for text beyond any
 * code, -ENOMEM.
 */
MUST_CHECK int qr_print(const char *text, FILE *to);

#endif
