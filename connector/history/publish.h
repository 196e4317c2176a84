/* Publishing a connector's checkpoints: prepared, judged, then shown or held. */
#ifndef TIDEMARK_HISTORY_PUBLISH_H
#define TIDEMARK_HISTORY_PUBLISH_H

#include "connector/history/publication.h"

/* What is to be judged, before anybody sees it. Everything is borrowed. */
struct publish_candidate {
	struct lake_id merged; /* the result of the merge */
	struct lake_id target_head; /* what it was merged onto */
	struct lake_id shown; /* X(n): what this connector shows so far */
	struct lake_id from; /* the checkpoint of X(n); none */
	struct lake_id to; /* the checkpoint that is to be shown */
	const struct roots *roots; /* this connector's paths */
	/* Only those judgements are wanted that stay bad when more is shown: they
	 * look for the longest prefix that passes. */
	bool steering;
};

/* ST_OK passed; ST_HELD with the reason in err; anything else: the gates could not be
 * run. record_out: an array in JSON that says what each gate said, kept in the
 * metadata of the target's commit; the caller's, NULL where there is none. */
typedef enum status (*publish_judge)(void *ctx, const struct publish_candidate *candidate,
				     char **record_out, struct err *err);

struct publish_request {
	publish_judge judge; /* NULL: nothing judges */
	void *ctx;
	bool dry_run; /* prepares and judges, moves nothing */
	bool prefix; /* where the newest checkpoint is held: the longest prefix that passes */
	/* Publishes whatever the judge says; recorded in the target's commit. NULL: no. */
	const char *force;
};

struct publish_result {
	struct lake_id checkpoint; /* shown now, or that would be; none: nothing */
	struct lake_id merged; /* the target's new head */
	uint64_t checkpoints; /* that it shows anew */
	uint64_t records; /* rows of data in them */
	struct lake_id first_bad; /* prefix: the first checkpoint that is held; none */
	char *record; /* of the judge, for the newest checkpoint judged; may be NULL */
};
void publish_result_release(struct publish_result *r);

/* Shows the target the newest checkpoint of ingest. out is filled as far as it came,
 * whatever is returned.
 * ST_EMPTY    the target shows it already.
 * ST_HELD     a gate refused, paths conflict, or the target was changed by hand;
 *             out->checkpoint is set where a prefix was published all the same.
 * ST_CONFLICT a rollback, a cut or another publish came first; nothing changed. */
MUST_CHECK enum status publish(const struct line *line, const struct publish_request *request,
			       struct publish_result *out, struct err *err);

#endif
