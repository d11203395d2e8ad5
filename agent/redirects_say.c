#include "agent/redirects_impl.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

enum { SAY_AGAIN = 100 /* after so many lines what stands is said again: a log's end tells all */ };

struct told {
	enum pg_direction direction;
	uint16_t port;
	uint64_t since;
};

/* `who` is not always the redirect's own laptop. */
static void write_line(struct pg_redirects *all, const struct told *told,
		       enum pg_status_event event, const char *note, const char *who)
{
	struct pg_status_line line = { .at = (uint64_t)time(NULL),
				       .outgoing = told->direction == PG_OUTGOING,
				       .port = told->port,
				       .event = event,
				       .since = told->since };
	char text[PG_STATUS_LINE];
	snprintf(line.note, sizeof(line.note), "%s", note);
	snprintf(line.who, sizeof(line.who), "%s", who[0] ? who : "somebody");
	pg_status_line_format(&line, text);
	pg_log(all->log, PG_INFO, "%s", text);
}

static void write_of(struct pg_redirects *all, const struct pg_redirect *rd,
		     enum pg_status_event event, const char *note, const char *who)
{
	struct told told = { rd->direction, rd->port, rd->since };
	write_line(all, &told, event, note, who);
}

static void write_of_away(struct pg_redirects *all, const struct pg_away_redirect *away,
			  enum pg_status_event event, const char *note)
{
	struct told told = { away->direction, away->port, away->since };
	write_line(all, &told, event, note, away->holder);
}

static void write_away(struct pg_redirects *all, const struct pg_away_redirect *away)
{
	char note[PG_STATUS_NOTE], since[PG_STATUS_TIME];
	pg_status_time(away->away_since, since);
	snprintf(note, sizeof(note), "laptop away since %s", since);
	write_of_away(all, away, PG_STATUS_PARKED, note);
}

static const char *why_parked(const struct pg_redirects *all, const struct pg_redirect *rd)
{
	return rd->unserved              ? "the laptop does not answer"
	       : all->shortage == ENOMEM ? "connections hold too much memory"
					 : "descriptors run short";
}

/* One more line is to come. */
static void count_line(struct pg_redirects *all)
{
	if (all->lines++ != SAY_AGAIN)
		return;
	all->lines = 0;
	for (size_t i = 0; i < all->count; i++) {
		const struct pg_redirect *rd = &all->table[i];
		write_of(all, rd, rd->parked ? PG_STATUS_PARKED : PG_STATUS_STARTED,
			 rd->parked ? why_parked(all, rd)
				    : pg_redirects_mechanism(all, rd->direction),
			 rd->holder);
	}
	for (size_t i = 0; i < all->away.count; i++)
		write_away(all, &all->away.items[i]);
}

void redirects_say(struct pg_redirects *all, const struct pg_redirect *rd,
		   enum pg_status_event event, const char *note)
{
	count_line(all);
	write_of(all, rd, event, note, rd->holder);
}

void redirects_say_parked(struct pg_redirects *all, const struct pg_redirect *rd)
{
	redirects_say(all, rd, PG_STATUS_PARKED, why_parked(all, rd));
}

void redirects_say_taken(struct pg_redirects *all, const struct pg_redirect *rd, const char *holder)
{
	count_line(all);
	write_of(all, rd, PG_STATUS_TAKEN_OVER, "", holder);
}

void redirects_say_away(struct pg_redirects *all, const struct pg_away_redirect *away)
{
	count_line(all);
	write_away(all, away);
}

void redirects_say_forgotten(struct pg_redirects *all, const struct pg_away_redirect *away,
			     const char *note)
{
	count_line(all);
	write_of_away(all, away, PG_STATUS_STOPPED, note);
}
