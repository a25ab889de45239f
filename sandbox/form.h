/*-------------------------------------------------------------------------
 *
 * form.h
 *	  application/x-www-form-urlencoded: names and values, decoded.
 *
 * sandbox/form.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_FORM_H
#define REFUNDX_SANDBOX_FORM_H

#include "sandbox.h"

#define FORM_MAX	256

typedef struct FormField
{
	char	   *name;
	char	   *value;
} FormField;

typedef struct Form
{
	FormField	item[FORM_MAX];
	int			count;
} Form;

/* Adds what s has; false if it has too much, or does not decode into UTF-8. */
extern bool form_parse(Form *f, const char *s, size_t len);
extern void form_add(Form *f, const char *name, const char *value);
extern const char *form_get(const Form *f, const char *name);	/* NULL if absent */
extern void form_sort(Form *f);	/* by name, in byte order */
extern bool form_repeats(const Form *f);	/* is a name there twice?  Sort it first. */
extern void form_encode(const Form *f, Buf *out);	/* a space becomes '+' */
extern void form_free(Form *f);

#endif							/* REFUNDX_SANDBOX_FORM_H */
