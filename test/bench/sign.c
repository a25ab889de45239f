/*-------------------------------------------------------------------------
 *
 * sign.c
 *	  What one RSA-2048 signature costs here and now.
 *
 *	sign KEY SECONDS
 *
 * Prints the microseconds of CPU time of one, with the very code that signs
 * the dispatcher's requests.
 *
 * test/bench/sign.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/crypto.h"

static double
cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	char		pem[16384],
				err[200],
				text[600];
	CryptoKey  *key = NULL;
	FILE	   *f = argc == 3 ? fopen(argv[1], "r") : NULL;
	size_t		len = f ? fread(pem, 1, sizeof(pem), f) : 0;
	double		seconds = argc == 3 ? atof(argv[2]) : 0,
				start;
	long		n = 0;

	if (len == 0 || (key = crypto_private_key(pem, len, err, sizeof(err))) == NULL)
	{
		fprintf(stderr, "sign: cannot read the key\n");
		return 1;
	}
	memset(text, 'x', sizeof(text));
	for (start = cpu_seconds(); cpu_seconds() - start < seconds; n++)
	{
		Buf			sig = BUF_INIT;

		if (!rsa_sign_sha256(key, text, sizeof(text), &sig))
			return 1;
		buf_free(&sig);
	}
	printf("%.2f\n", (cpu_seconds() - start) * 1e6 / n);
	return 0;
}
