/* What the client of a stream has been told, block by block; shared by rescue*.c only. */
#ifndef TOLLGATE_RELAY_RESCUE_TOLD_H
#define TOLLGATE_RELAY_RESCUE_TOLD_H

#include "relay/rescue.h"

/* Of one stream. What is longer is not kept, and not rescued. */
enum { TOLD_BYTES_MAX = 8 << 20, TOLD_BLOCKS_MAX = 20000 };

struct told_block {
        enum chat_block_type type;
        int64_t number;   /* the client's */
        const char *name; /* of a call */
        struct buf text;  /* or arguments; thoughts are not kept */
        size_t matched;   /* bytes of it that the target which speaks now has said, too */
        bool compared;
        bool bound; /* the target has come to it */
        bool live;  /* a block of the target's goes into it, and has not ended */
        bool stopped;
        bool has_signature;
        enum dialect_id signature_from;
};

/* A block of the target that speaks now. */
struct source_block {
        struct told_block *to; /* where its pieces go; NULL: nowhere (yet) */
        enum chat_block_type type;
        enum dialect_id signature_from;
        bool own;   /* `to` began with it */
        bool spoke; /* a call: arguments came */
};

struct told_choice {
        struct told_choice *next;
        int64_t index;
        struct told_block **blocks;
        size_t count, room;
        struct source_block **sources; /* by the target's number */
        size_t source_count, source_room;
        size_t cursor;           /* of blocks: those before it the target has come to */
        struct told_block *text; /* that the target's text belongs to now, or NULL */
        struct str again;        /* "continue": white space that may come once more */
        bool awaits_text;        /* "continue": it has not begun to go on */
        bool stopped;            /* its EVENT_STOP was told */
};

struct rescue {
        struct relay_run *run;
        const struct chat_request *request;
        const struct dialect *client;
        void *encoder;
        struct told_choice *choices;
        enum config_rescue mode;
        size_t bytes;
        bool started; /* EVENT_START was told */
        bool lost;    /* not all that was told is kept */
        bool opaque;  /* something was told that can't be compared */
};

/* One event with what was told in mind. False: it differs. */
bool rescue_match(struct rescue *r, const struct chat_event *e, struct buf *out);
/* Tells the end of a block that is open. */
void rescue_stop_block(struct rescue *r, struct told_choice *c, struct told_block *b, struct buf *out);

#endif
