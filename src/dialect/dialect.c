#include "dialect/dialect.h"

static const struct dialect *const dialects[DIALECTS] = {
        [DIALECT_OPENAI] = &dialect_openai,
        [DIALECT_ANTHROPIC] = &dialect_anthropic,
        [DIALECT_GEMINI] = &dialect_gemini,
        [DIALECT_PLAIN] = &dialect_plain,
};

const struct dialect *dialect_by_id(enum dialect_id id)
{
        return (size_t)id < DIALECTS ? dialects[id] : NULL;
}

const struct dialect *dialect_by_name(const char *name)
{
        for (size_t i = 0; i < DIALECTS; i++) {
                if (dialects[i] && strcmp(dialects[i]->name, name) == 0)
                        return dialects[i];
        }
        return NULL;
}

const char *dialect_field_name(enum dialect_id id, enum chat_field field)
{
        const struct dialect *d = dialect_by_id(id);
        const char *name = d ? d->fields[field].names[0] : NULL;
        return name ? name : dialect_openai.fields[field].names[0];
}

enum chat_field dialect_field_by_name(const char *openai_name)
{
        for (int field = 0; field < CHAT_FIELDS; field++) {
                for (int i = 0; i < 4 && dialect_openai.fields[field].names[i]; i++) {
                        if (strcmp(dialect_openai.fields[field].names[i], openai_name) == 0)
                                return (enum chat_field)field;
                }
        }
        return CHAT_FIELDS;
}
