//! Every bound of the service, each with its reason.

/// Bytes of a user, item, event, session or decision id. Covers UUIDs, URNs
/// and composite keys; keeps an interned id small.
pub const ID_BYTES: usize = 256;
/// Bytes of a producer's id: an event id made of it, a sequence and an index still fits.
pub const PRODUCER_ID_BYTES: usize = 128;
/// Characters of a namespace name: it appears in metric labels and paths.
pub const NAMESPACE_CHARS: usize = 63;
/// Candidates of one Personalize call: keeps a call within about a millisecond.
pub const CANDIDATES: usize = 1_000;
/// Results of one Personalize or SimilarItems call.
pub const RESULTS: usize = 500;
/// Positions of a list over all its pages: more than users scroll through, and few enough that a
/// page costs what the first one does.
pub const LIST_POSITIONS: usize = 2_000;
/// Results when the caller names no number.
pub const RESULTS_DEFAULT: usize = 20;
/// Bytes of an item's title.
pub const TITLE_BYTES: usize = 1_024;
/// Bytes of an item's contents in all languages: about ten printed pages.
pub const CONTENT_BYTES: usize = 65_536;
/// Languages of an item besides its own.
pub const LOCALIZED: usize = 32;
/// Bytes of a tag of a language: the longest that BCP 47 asks all to take.
pub const LANGUAGE_BYTES: usize = 35;
/// Topics of one item or one interaction.
pub const TOPICS: usize = 32;
/// Bytes of a topic, source, device type or location.
pub const LABEL_BYTES: usize = 256;
/// Bytes of the variant of an experiment: a name, kept with every decision.
pub const VARIANT_BYTES: usize = 64;
/// Bytes of the name of an experiment, a layer, a variant or a metric.
pub const EXPERIMENT_KEY_BYTES: usize = 64;
/// Experiments of a namespace that are known; beyond it the oldest archived one is forgotten.
pub const EXPERIMENTS: usize = 500;
/// Experiments that are live at a time: each is looked up for each request and each event.
pub const EXPERIMENTS_LIVE: usize = 32;
/// Variants of an experiment.
pub const VARIANTS: usize = 10;
/// Metrics of an experiment.
pub const METRICS: usize = 16;
/// Bytes of what all variants of an experiment override.
pub const OVERRIDES_BYTES: usize = 32 * 1024;
/// Bytes of the hypothesis of an experiment: half a page.
pub const HYPOTHESIS_BYTES: usize = 2_000;
/// Bytes of who changes an experiment, and of why.
pub const CHANGE_TEXT_BYTES: usize = 500;
/// Users of an experiment who are given a variant by hand.
pub const TESTERS: usize = 100;
/// Pieces of a layer that an experiment has: it gets one or more whenever its share rises.
pub const BUCKET_RANGES: usize = 256;
/// Changes of an experiment that are remembered; the log has all.
pub const EXPERIMENT_HISTORY: usize = 100;
/// How long after it entered a unit is measured: a quarter.
pub const METRIC_WINDOW_SECONDS: u32 = 90 * 86_400;
/// How long events are waited for after the end of a window: a week.
pub const LATE_EVENTS_SECONDS: u32 = 7 * 86_400;
/// Bytes of the units of all live experiments of a namespace: five million units of four fields.
pub const UNIT_BYTES: u64 = 384 * 1024 * 1024;
/// Values of one record of a backfill: 16 KiB.
pub const BACKFILL_VALUES: usize = 4_096;
/// Attributes of an item, a user, an interaction or a request.
pub const ATTRIBUTES: usize = 64;
/// Bytes of all their names and values together.
pub const ATTRIBUTES_BYTES: usize = 16 * 1024;
/// Bytes of an attribute's name.
pub const ATTRIBUTE_NAME_BYTES: usize = 128;
/// Bytes of one attribute string.
pub const ATTRIBUTE_STRING_BYTES: usize = 1_024;
/// Strings in one attribute list.
pub const ATTRIBUTE_LIST: usize = 64;
/// How far ahead of the server's clock an event may lie: a day covers clients
/// that send local time as UTC.
pub const FUTURE_MS: i64 = 24 * 3_600_000;
/// Largest value of an interaction (rating, dwell seconds, price).
pub const INTERACTION_VALUE: f64 = 1e9;
/// The furthest time zones from UTC are 12 hours behind and 14 ahead.
pub const UTC_OFFSET_MINUTES: i32 = 14 * 60;
/// Half-lives of topics and sources that a namespace configures.
pub const FRESHNESS_HALF_LIVES: usize = 256;
/// Positions of a shown list that an interaction may name.
pub const POSITION: u32 = 10_000;
/// Interactions or items of one stream message.
pub const STREAM_MESSAGE_ITEMS: usize = 10_000;
/// Interactions or items of one call without a stream: its caller waits for all of them.
pub const BATCH_ITEMS: usize = 1_000;
/// Rejections of a stream that are described one by one; all are counted.
pub const REJECTIONS_DESCRIBED: usize = 100;
/// Rejected events after which a stream is ended: the producer is broken.
pub const REJECTIONS_PER_STREAM: u64 = 10_000;
/// Paths of an update mask: more than there are settings.
pub const MASK_PATHS: usize = 200;
/// Items of one page of a listing.
pub const PAGE_SIZE: usize = 1_000;
/// Bytes of the encoded items of a page: well within the 4 MiB that clients accept by default.
pub const PAGE_BYTES: usize = 1 << 20;
/// Items of a page when the caller names no number.
pub const PAGE_SIZE_DEFAULT: usize = 100;
/// Items of one DeleteItems call.
pub const DELETE_ITEMS: usize = 1_000;
/// Filter values (topics, sources, left-out ids) of one request.
pub const FILTER_VALUES: usize = 10_000;
/// Bytes of all filter values of one request: 3,600 UUIDs. Half of what the record of a
/// decision may take, which holds them.
pub const FILTER_BYTES: usize = 128 * 1024;
/// Bytes of the ids in one list of a request, candidates, pins or the caller's order: as
/// many as there may be, of 65 bytes.
pub const ID_LIST_BYTES: usize = 64 * 1024;
/// Bytes of what all boosts of a request are about: eight of the longest expressions.
pub const BOOSTS_BYTES: usize = 32 * 1024;
/// Bytes of the record of one decision. Beyond it, how the decision came about is left out;
/// what is learnt from always fits.
pub const DECISION_BYTES: usize = 256 * 1024;
/// Bytes of a filter expression: a screen full.
pub const EXPRESSION_BYTES: usize = 4_096;
/// Nested parentheses and negations of a filter expression.
pub const EXPRESSION_DEPTH: usize = 32;
/// Operators, names and values of a filter expression: each costs time for each item.
pub const EXPRESSION_NODES: usize = 512;
/// Steps that a filter expression may take for one item: about ten microseconds.
pub const EXPRESSION_STEPS: usize = 2_048;
/// Steps that all rules of a request may take for one item: filter, expression and boosts.
pub const REQUEST_STEPS: usize = 4_096;
/// Boosts of one request: each is tried on each candidate.
pub const BOOSTS: usize = 64;
/// Most that a boost adds to a score or multiplies it with: a score is an expected
/// reward, -1 to 1.
pub const BOOST: f64 = 1_000.0;
/// Items that a user blocks.
pub const USER_BLOCKED_ITEMS: usize = 1_000;
/// Topics that a user blocks, and sources: each costs a set of items in every retrieval.
pub const USER_BLOCKED_LABELS: usize = 256;
/// Mutes of a user: each is tried on each candidate.
pub const USER_MUTES: usize = 64;
/// Boosts of a user: the same.
pub const USER_BOOSTS: usize = 64;
/// Largest factor of a user's boost.
pub const USER_BOOST_FACTOR: f64 = 10.0;
/// Largest addend of a user's boost: a score is an expected reward, -1 to 1.
pub const USER_BOOST_ADDEND: f64 = 1.0;
/// Bytes of all blocks, mutes and boosts of a user: as much as a history.
pub const USER_RULES_BYTES: usize = 64 * 1024;
/// Bytes of the rules and attributes of all users, for each user that a namespace remembers.
pub const SET_BYTES_PER_USER: usize = 1024;
/// The same of a namespace that remembers few users, in all.
pub const SET_BYTES_MIN: usize = 1024 * 1024;
/// Ids that were merged into one user and still answer as that user: a new visitor's id with
/// every sign-in for most of a year.
pub const MERGED_IDS: usize = 256;
/// Bytes of all ids of a namespace that answer as another user: about 200,000 of them.
pub const MERGED_IDS_BYTES: usize = 64 * 1024 * 1024;
/// Items that a new user is asked about: more than any user answers.
pub const ONBOARDING: usize = 50;
/// The same when the caller names no number: a screen full.
pub const ONBOARDING_DEFAULT: usize = 10;
/// Days of decisions that an evaluation reads: a quarter.
pub const EVALUATION_DAYS: u32 = 90;
/// The same when the caller names no number: a week has all weekdays.
pub const EVALUATION_DAYS_DEFAULT: u32 = 7;
/// Requests of one rehearsal: each is worked out four times.
pub const REHEARSED: usize = 1_000;
/// The same when the caller names no number: a second or two.
pub const REHEARSED_DEFAULT: usize = 200;
/// Arms that one selection chooses among: beyond that, they are items to rank.
pub const ARMS: usize = 200;
/// Arms that a set knows, those it does not offer any more included.
pub const ARMS_KNOWN: usize = 500;
/// Arm sets of a namespace.
pub const ARM_SETS: usize = 1_000;
/// Numbers of a context of arms: learning costs their square.
pub const CONTEXT_NUMBERS: usize = 128;
/// Largest absolute number of a context or of an arm's features.
pub const CONTEXT_NUMBER: f32 = 1e12;
/// Numbers that describe one arm.
pub const ARM_NUMBERS: usize = 32;
/// Bytes of the features of all arms of a selection, which its record holds.
pub const ARM_FEATURES_BYTES: usize = 256 * 1024;
/// Longest wait for `min_watermark` when the caller set no deadline.
pub const WATERMARK_WAIT_MS: u64 = 10_000;
/// Bytes of one gRPC message, in and out.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// The same of a request that holds filters, attributes or settings and no list.
pub const MESSAGE_BYTES_MEDIUM: usize = 4 * 1024 * 1024;
/// The same of a request that holds names and numbers.
pub const MESSAGE_BYTES_SMALL: usize = 64 * 1024;
/// Bytes that one request may take in memory once it is decoded: two bytes on the wire
/// can be hundreds.
pub const DECODED_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of all requests that are held, as they came and decoded.
pub const REQUEST_BYTES: usize = 256 * 1024 * 1024;
/// Bytes that all connections together may have sent and the service has not read.
pub const UNREAD_BYTES: usize = 1024 * 1024 * 1024;
/// Calls that run at a time, those that stream not counted.
pub const CALLS: usize = 2_048;
/// Calls that stream.
pub const STREAMING_CALLS: usize = 2_048;
/// Calls of one connection: clients hold back what is beyond it.
pub const CALLS_PER_CONNECTION: u32 = 256;
/// Connections to the HTTP port: probes and scrapers.
pub const HTTP_CONNECTIONS: usize = 64;
/// Topics that only events name and that are remembered; the catalogue's are not counted.
pub const EVENT_TOPICS: usize = 4_096;
/// The same of sources.
pub const EVENT_SOURCES: usize = 4_096;
/// Kinds of devices that are remembered.
pub const EVENT_DEVICES: usize = 256;
