/* Pins: the last one of a model is in force over its `use`; what stands before it is history. */
#include "config/load.h"

#include <string.h>

static const config_setting_t *row_member(const config_setting_t *list, size_t row, const char *name)
{
        const config_setting_t *at = config_setting_get_elem(list, (unsigned)row);
        return at && config_setting_type(at) == CONFIG_TYPE_GROUP ? config_setting_get_member(at, name)
                                                                  : NULL;
}

/* A warning only: a model that is taken out of the configuration leaves its history behind. */
static void unknown_model(struct loader *l, const config_setting_t *at, const char *name)
{
        struct nearest nearest;
        nearest_init(&nearest, name);
        for (size_t i = 0; i < l->config->model_count; i++)
                nearest_offer(&nearest, l->config->models[i].name);
        load_warning(l, at, "this pin does nothing: there is no model \"%s\"%s", name,
                     nearest_text(l, &nearest));
}

/* Is there a later pin of the same model? */
static bool is_history(const struct config *c, size_t row)
{
        for (size_t i = row + 1; i < c->pin_count; i++) {
                if (c->pins[i].model && strcmp(c->pins[i].model, c->pins[row].model) == 0)
                        return true;
        }
        return false;
}

void check_pins(struct loader *l, const config_setting_t *root)
{
        const config_setting_t *list = config_setting_get_member(root, "pins");
        for (size_t i = 0; i < l->config->pin_count; i++) {
                const struct config_pin *pin = &l->config->pins[i];
                if (!pin->model || !pin->use || is_history(l->config, i))
                        continue;
                struct config_model *m = (struct config_model *)config_find_model(l->config, pin->model);
                if (!m) {
                        unknown_model(l, row_member(list, i, "model"), pin->model);
                        continue;
                }
                const struct config_version *v =
                        check_need_version(l, row_member(list, i, "use"), "use", m, pin->use);
                if (v) {
                        m->use = v;
                        m->pin = pin;
                }
        }
}
