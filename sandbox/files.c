/*-------------------------------------------------------------------------
 *
 * files.c
 *	  Reading and replacing small files.
 *
 * sandbox/files.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"

bool
read_file(const char *path, Buf *out)
{
	FILE	   *f = fopen(path, "re");
	char		chunk[4096];
	size_t		n;

	if (f == NULL)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(out, chunk, n);
	n = (size_t) ferror(f);
	fclose(f);
	return n == 0 && !out->failed;
}

/* Whoever reads the file sees the old one or the new one, never a part. */
bool
write_file(const char *path, const void *data, size_t len, int mode)
{
	char		tmp[1100];
	FILE	   *f;
	bool		ok;
	int			fd;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	ok = f != NULL && fwrite(data, 1, len, f) == len && fflush(f) == 0 &&
		fsync(fd) == 0 && fchmod(fd, (mode_t) mode) == 0;
	if (f != NULL)
		fclose(f);
	ok = ok && rename(tmp, path) == 0;
	if (!ok)
		fprintf(stderr, "refundx-sandbox: could not write %s: %s\n", path, strerror(errno));
	return ok;
}
