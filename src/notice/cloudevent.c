/*-------------------------------------------------------------------------
 *
 * cloudevent.c
 *	  An event as CloudEvents 1.0 writes it: JSON, structured mode.
 *
 * `partitionkey` and `sequence` are documented extensions of the specification;
 * a sequence is a string that sorts, so it has leading zeros.
 *
 * src/notice/cloudevent.c
 *
 *-------------------------------------------------------------------------
 */
#include "notice/cloudevent.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool
cloudevent_json(const CloudEvent *e, Buf *out)
{
	char		sequence[24];
	json_t	   *data = json_loads(e->data, JSON_REJECT_DUPLICATES, NULL);
	json_t	   *event;
	char	   *text = NULL;

	if (!json_is_object(data))
	{
		json_decref(data);
		return false;
	}
	snprintf(sequence, sizeof(sequence), "%020" PRId64, e->sequence);
	event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}",
					  "specversion", "1.0", "id", e->id, "source", e->source, "type", e->type,
					  "subject", e->subject, "time", e->time, "datacontenttype", "application/json",
					  "partitionkey", e->subject, "sequence", sequence, "data", data);
	if (event != NULL)
		text = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER);
	if (text != NULL)
		buf_adds(out, text);
	free(text);
	json_decref(event);
	return text != NULL && !out->failed;
}
