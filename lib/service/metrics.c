/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics segment: a head with the providers' and certificates' names, then one part a process. Only its process
 * writes to a part, so a relaxed atomic add is all that counting costs; readers sum over the parts.
 * The segment is sealed against shrinking, and holds no pointer or length that a reader trusts.
 */
#include "lib/service/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc.h"
#include "lib/smtp/smtp_reason.h"
#include "lib/smtp/smtp_reply.h"

enum kind { COUNTER, GAUGE, TIMES };
enum label { NONE, PROVIDER, PAIR, CERTIFICATE, ROLE_LABEL, REPLY_LABEL, REASON_LABEL };
/* Labels that are keys in the settings. */
enum keyed { PROVIDERS, CERTIFICATES, KEYED };

/* Upper bounds of a histogram's buckets in microseconds; the last bucket takes what is longer. */
static const int64_t bounds[] = {1000,	 2000,	 5000,	  10000,   20000,   50000,    100000,	200000,
				 500000, 1000000, 2000000, 5000000, 10000000, 30000000, 60000000};

enum {
	BOUNDS = sizeof(bounds) / sizeof(bounds[0]),
	CELLS_TIMES = BOUNDS + 2, /* the buckets, the one beyond, the sum in microseconds */
	CELL_SUM = BOUNDS + 1,
	PAGE = 4096,
};

#define LABEL_NONE 1
#define LABEL_PROVIDER METRICS_LABELS
#define LABEL_PROVIDER_PAIR (METRICS_LABELS * METRICS_LABELS)
#define LABEL_CERTIFICATE METRICS_LABELS
#define LABEL_ROLE METRICS_LABELS
#define LABEL_REPLY SMTP_REPLY_COUNT
#define LABEL_REASON SMTP_REASONS
#define KIND_COUNTER 1
#define KIND_GAUGE 1
#define KIND_TIMES CELLS_TIMES

/* Every series' cells, as a struct whose size and offsets the compiler works out. */
struct cells {
#define METRIC(constant, kind, name, label, prose) uint64_t constant[LABEL_##label * KIND_##kind];
#include "lib/service/metrics.def"
#undef METRIC
};

#define LABELOF_NONE NONE
#define LABELOF_PROVIDER PROVIDER
#define LABELOF_PROVIDER_PAIR PAIR
#define LABELOF_CERTIFICATE CERTIFICATE
#define LABELOF_ROLE ROLE_LABEL
#define LABELOF_REPLY REPLY_LABEL
#define LABELOF_REASON REASON_LABEL

static const struct {
	enum kind kind;
	enum label label;
	const char *name, *prose;
	size_t offset; /* in cells */
	unsigned labels;
} metrics[METRIC_COUNT] = {
#define METRIC(constant, kind, name, label, prose) \
	[METRIC_##constant] = {kind, LABELOF_##label, name, prose, \
			       offsetof(struct cells, constant) / sizeof(uint64_t), LABEL_##label},
#include "lib/service/metrics.def"
#undef METRIC
};

struct names {
	uint32_t n; /* names in use; they are never removed, so a series keeps its name */
	char name[METRICS_LABELS][SETTINGS_KEY];
	uint32_t is_current[METRICS_LABELS]; /* it is in the settings now */
};

struct head {
	uint32_t parts; /* how many have ever been taken: the others need not be summed */
	struct names names[KEYED];
};

enum {
	HEAD_SIZE = (sizeof(struct head) + PAGE - 1) / PAGE * PAGE,
	PART_SIZE = (sizeof(struct cells) + PAGE - 1) / PAGE * PAGE,
	SEGMENT_SIZE = HEAD_SIZE + METRICS_PARTS * PART_SIZE,
};

static struct {
	struct head *head;
	uint64_t *own; /* the cells of this process' part; NULL: counting goes nowhere */
	/* The settings' provider i has the name number place[PROVIDERS][i]: an index may move at a reload. */
	unsigned char place[KEYED][METRICS_LABELS];
	bool is_named;
} segment;

static uint64_t *part_cells(unsigned part)
{
	return (uint64_t *)(void *)((char *)segment.head + HEAD_SIZE + (size_t)part * PART_SIZE);
}

void metrics_open(int fd, unsigned part)
{
	void *map;
	struct stat st;
	uint32_t parts;

	if (part >= METRICS_PARTS || fstat(fd, &st) < 0 || st.st_size != SEGMENT_SIZE)
		die("this is no metrics segment");
	map = mmap(NULL, SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("cannot map the metrics: %s", strerror(errno));
	if (segment.head != NULL)
		munmap(segment.head, SEGMENT_SIZE);
	segment.head = map;
	segment.own = part_cells(part);
	parts = __atomic_load_n(&segment.head->parts, __ATOMIC_RELAXED);
	while (parts < part + 1 &&
	       !__atomic_compare_exchange_n(&segment.head->parts, &parts, part + 1, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
}

int metrics_create(void)
{
	int fd = fd_memfile("metrics");

	if (ftruncate(fd, SEGMENT_SIZE) < 0)
		die("cannot make the metrics segment: %s", strerror(errno));
	/* A child must not be able to cut it short: the others would die of SIGBUS. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		die("cannot seal the metrics segment: %s", strerror(errno));
	metrics_open(fd, 0);
	return fd;
}

/* How many names there are, whatever a child may have written. */
static uint32_t count_names(const struct names *names)
{
	uint32_t n = __atomic_load_n(&names->n, __ATOMIC_ACQUIRE);

	return n > METRICS_LABELS ? METRICS_LABELS : n;
}

static struct str name_at(const struct names *names, uint32_t i)
{
	return str_bytes(names->name[i], strnlen(names->name[i], SETTINGS_KEY));
}

/* The last place is shared by what came after the table was full. */
static unsigned char place_of(struct names *names, struct str key, bool may_add)
{
	uint32_t n = count_names(names);

	for (uint32_t i = 0; i < n; i++)
		if (str_eq(name_at(names, i), key))
			return (unsigned char)i;
	if (n == METRICS_LABELS || !may_add)
		return METRICS_LABELS - 1;
	str_copy(n == METRICS_LABELS - 1 ? STR("other") : key, names->name[n], SETTINGS_KEY);
	__atomic_store_n(&names->n, n + 1, __ATOMIC_RELEASE);
	return (unsigned char)n;
}

/* master says which ones there are. */
static void name_keys(enum keyed keyed, const struct settings *settings, size_t n)
{
	struct names *names = &segment.head->names[keyed];
	bool is_current[METRICS_LABELS] = {false}, is_master = segment.own == part_cells(0);

	for (size_t i = 0; i < n && i < METRICS_LABELS; i++) {
		const char *key = keyed == PROVIDERS ? settings->provider[i].key : settings->certificate[i].key;

		segment.place[keyed][i] = place_of(names, str_of(key), is_master);
		is_current[segment.place[keyed][i]] = true;
	}
	for (unsigned i = 0; is_master && i < METRICS_LABELS; i++)
		__atomic_store_n(&names->is_current[i], is_current[i], __ATOMIC_RELAXED);
}

void metrics_name_keys(const struct settings *settings)
{
	if (segment.own == NULL)
		return;
	name_keys(PROVIDERS, settings, settings->n_provider);
	name_keys(CERTIFICATES, settings, settings->n_certificate);
	segment.is_named = true;
}

/* Where a label's cells are among those of its metric. */
static unsigned label_place(enum metric metric, unsigned label)
{
	if (!segment.is_named)
		return label;
	if (metrics[metric].label == PAIR)
		return metrics_pair(segment.place[PROVIDERS][label / METRICS_LABELS],
				    segment.place[PROVIDERS][label % METRICS_LABELS]);
	if (metrics[metric].label == PROVIDER)
		return segment.place[PROVIDERS][label];
	return metrics[metric].label == CERTIFICATE ? segment.place[CERTIFICATES][label] : label;
}

/* Where a series is counted; NULL when nowhere. */
static uint64_t *cell(enum metric metric, unsigned label, enum kind kind)
{
	must(metric < METRIC_COUNT && label < metrics[metric].labels);
	must((metrics[metric].kind == TIMES) == (kind == TIMES));
	if (segment.own == NULL)
		return NULL;
	label = label_place(metric, label);
	return segment.own + metrics[metric].offset + (size_t)label * (kind == TIMES ? CELLS_TIMES : 1);
}

void metrics_add_at(enum metric metric, unsigned label, uint64_t n)
{
	uint64_t *c = cell(metric, label, COUNTER);

	if (c != NULL)
		__atomic_fetch_add(c, n, __ATOMIC_RELAXED);
}

void metrics_add(enum metric metric, uint64_t n)
{
	metrics_add_at(metric, 0, n);
}

void metrics_set_at(enum metric metric, unsigned label, int64_t value)
{
	uint64_t *c = cell(metric, label, GAUGE);

	if (c != NULL)
		__atomic_store_n(c, (uint64_t)value, __ATOMIC_RELAXED);
}

void metrics_set(enum metric metric, int64_t value)
{
	metrics_set_at(metric, 0, value);
}

void metrics_time_at(enum metric metric, unsigned label, int64_t microseconds)
{
	uint64_t *c = cell(metric, label, TIMES);
	unsigned bucket = 0;

	if (c == NULL)
		return;
	if (microseconds < 0)
		microseconds = 0; /* the wall clock was set back between two hosts or two readings */
	while (bucket < BOUNDS && microseconds > bounds[bucket])
		bucket++;
	__atomic_fetch_add(&c[bucket], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&c[CELL_SUM], (uint64_t)microseconds, __ATOMIC_RELAXED);
}

void metrics_time(enum metric metric, int64_t microseconds)
{
	metrics_time_at(metric, 0, microseconds);
}

void metrics_clear_gauges(unsigned part)
{
	must(segment.own != NULL && part < METRICS_PARTS);
	for (unsigned m = 0; m < METRIC_COUNT; m++)
		for (unsigned i = 0; metrics[m].kind == GAUGE && i < metrics[m].labels; i++)
			__atomic_store_n(part_cells(part) + metrics[m].offset + i, 0, __ATOMIC_RELAXED);
}

/* Sums one cell of a series over all parts in use. */
static uint64_t sum_cell(size_t offset)
{
	uint32_t parts = __atomic_load_n(&segment.head->parts, __ATOMIC_RELAXED);
	uint64_t sum = 0;

	for (uint32_t part = 0; part < parts && part < METRICS_PARTS; part++)
		sum += __atomic_load_n(part_cells(part) + offset, __ATOMIC_RELAXED);
	return sum;
}

int64_t metrics_sum(enum metric metric, unsigned label)
{
	must(metric < METRIC_COUNT && label < metrics[metric].labels && metrics[metric].kind != TIMES);
	if (segment.own == NULL)
		return 0;
	return (int64_t)sum_cell(metrics[metric].offset + label_place(metric, label));
}

/* A label's value; quotes, backslashes and line ends are escaped (the format's rule). */
static void put_label_value(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\n')
			buf_put_text(out, "\\n");
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else
			buf_put_char(out, c);
	}
}

static void put_label(struct buf *out, const char *before, const char *name, struct str value)
{
	buf_printf(out, "%s%s=\"", before, name);
	put_label_value(out, value);
	buf_put_char(out, '"');
}

/* `provider="x"`, and `le="0.001"` for a histogram's bucket; nothing for a series without labels. */
static void put_labels(struct buf *out, unsigned metric, unsigned label, const char *le)
{
	const struct names *names = segment.head->names;

	switch (metrics[metric].label) {
	case NONE:
		break;
	case PROVIDER:
		put_label(out, "{", "provider", name_at(&names[PROVIDERS], label));
		break;
	case PAIR:
		put_label(out, "{", "from", name_at(&names[PROVIDERS], label / METRICS_LABELS));
		put_label(out, ",", "to", name_at(&names[PROVIDERS], label % METRICS_LABELS));
		break;
	case CERTIFICATE:
		put_label(out, "{", "certificate", name_at(&names[CERTIFICATES], label));
		break;
	case ROLE_LABEL:
		put_label(out, "{", "role", str_of(role_name(label)));
		break;
	case REPLY_LABEL:
		put_label(out, "{", "reply", str_of(smtp_reply_token(label)));
		break;
	case REASON_LABEL:
		put_label(out, "{", "reason", str_of(smtp_reason_name(label)));
		break;
	}
	if (le != NULL)
		put_label(out, metrics[metric].label == NONE ? "{" : ",", "le", str_of(le));
	if (le != NULL || metrics[metric].label != NONE)
		buf_put_char(out, '}');
}

static void put_times(struct buf *out, unsigned m, unsigned label)
{
	size_t offset = metrics[m].offset + (size_t)label * CELLS_TIMES;
	uint64_t count = 0, sum = sum_cell(offset + CELL_SUM);

	for (unsigned i = 0; i <= BOUNDS; i++) {
		char le[32] = "+Inf";

		count += sum_cell(offset + i);
		if (i < BOUNDS)
			snprintf(le, sizeof(le), "%g", (double)bounds[i] / CLOCK_SECOND);
		buf_printf(out, "%s_bucket", metrics[m].name);
		put_labels(out, m, label, le);
		buf_printf(out, " %" PRIu64 "\n", count);
	}
	buf_printf(out, "%s_sum", metrics[m].name);
	put_labels(out, m, label, NULL);
	buf_printf(out, " %.6f\n%s_count", (double)sum / CLOCK_SECOND, metrics[m].name);
	put_labels(out, m, label, NULL);
	buf_printf(out, " %" PRIu64 "\n", count);
}

static void put_series(struct buf *out, unsigned m, unsigned label)
{
	if (metrics[m].kind == TIMES) {
		put_times(out, m, label);
		return;
	}
	buf_put_text(out, metrics[m].name);
	put_labels(out, m, label, NULL);
	buf_printf(out, " %" PRId64 "\n", (int64_t)sum_cell(metrics[m].offset + label));
}

/* What there is no more has no state; what it has done was done. */
static bool is_shown(unsigned m, unsigned label)
{
	const struct names *names = segment.head->names;

	if (metrics[m].label == PAIR)
		return sum_cell(metrics[m].offset + label) > 0;
	if (metrics[m].kind != GAUGE || (metrics[m].label != PROVIDER && metrics[m].label != CERTIFICATE))
		return true;
	names += metrics[m].label == PROVIDER ? PROVIDERS : CERTIFICATES;
	return __atomic_load_n(&names->is_current[label], __ATOMIC_RELAXED) != 0;
}

static void put_metric(struct buf *out, unsigned m)
{
	unsigned from = 0, to = 1;

	if (metrics[m].label == PROVIDER)
		to = count_names(&segment.head->names[PROVIDERS]);
	else if (metrics[m].label == CERTIFICATE)
		to = count_names(&segment.head->names[CERTIFICATES]);
	else if (metrics[m].label == PAIR)
		to = LABEL_PROVIDER_PAIR;
	else if (metrics[m].label == ROLE_LABEL)
		from = ROLE_MASTER + 1, to = ROLE_COUNT;
	else if (metrics[m].label == REPLY_LABEL)
		from = SMTP_REPLY_NONE + 1, to = SMTP_REPLY_COUNT;
	else if (metrics[m].label == REASON_LABEL)
		to = SMTP_REASONS;
	for (unsigned label = from; label < to; label++)
		if (is_shown(m, label))
			put_series(out, m, label);
}

void metrics_render(struct buf *out)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	if (segment.own == NULL)
		return;
	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].prose,
			   metrics[m].name, kinds[metrics[m].kind]);
		put_metric(out, m);
	}
}
