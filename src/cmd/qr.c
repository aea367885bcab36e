#include "cmd/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <unistd.h>

#include "base/err.h"

#define QUIET 2 /* modules around the code; the standard asks for 4, every reader does with 2 */

static bool is_dark(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return false;
	return code->data[y * code->width + x] & 1;
}

int qr_print(const char *text, FILE *to)
{
	/* Where colours are not to be had, light is what is printed: terminals are mostly dark. */
	static const char *const cells[] = {"█", "▀", "▄", " "};
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	bool colours = isatty(fileno(to));

	if (!code)
		return errno == ERANGE ? -ERR_TOO_BIG : -ENOMEM;
	for (int y = -QUIET; y < code->width + QUIET; y += 2) {
		fputs(colours ? "\033[97;40m" : "", to);
		for (int x = -QUIET; x < code->width + QUIET; x++)
			fputs(cells[is_dark(code, x, y) * 2 + is_dark(code, x, y + 1)], to);
		fputs(colours ? "\033[0m\n" : "\n", to);
	}
	QRcode_free(code);
	return 0;
}
