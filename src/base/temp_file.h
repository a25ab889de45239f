/*-------------------------------------------------------------------------
 *
 * temp_file.h
 *	  A file without a name, for what is too large for memory.
 *
 * src/base/temp_file.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_TEMP_FILE_H
#define REFUNDX_TEMP_FILE_H

#include "base/pg_compat.h"

/*
 * A descriptor for read(), write(), pread(); the file is gone when it is closed,
 * or the process has ended.  ERROR if there is none to be had.  It may outlive
 * the transaction, so somebody has to close it, after an ERROR too.
 */
extern int	temp_file_open(void);
extern void temp_file_close(int fd);	/* negative is nothing */

/* All of it at the end of the file; ERROR (53100 when the disk is full). */
extern void temp_file_write(int fd, const void *data, size_t len);

#endif							/* REFUNDX_TEMP_FILE_H */
