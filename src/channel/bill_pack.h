/*-------------------------------------------------------------------------
 *
 * bill_pack.h
 *	  A bill's file as it is kept: packed.
 *
 * This header must not include postgres.h.
 *
 * src/channel/bill_pack.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_BILL_PACK_H
#define REFUNDX_BILL_PACK_H

#include "channel/bill.h"

typedef struct BillPacker BillPacker;

/* NULL: out of memory. */
extern BillPacker *bill_packer_open(const BillInput *input);

/* Does the file come as it is (gzip, ZIP)?  Otherwise it is gzip-packed here. */
extern bool bill_packer_as_it_came(const BillPacker *p);

/*
 * The next piece of the packed file: `size` bytes, fewer at its end, 0 after it;
 * -1 if the input cannot be read.
 */
extern int64_t bill_packer_read(BillPacker *p, void *out, size_t size);

extern void bill_packer_close(BillPacker *p);	/* NULL is nothing */

#endif							/* REFUNDX_BILL_PACK_H */
