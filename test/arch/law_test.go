package arch

// room is one line of the import law: which packages are in it and what they may
// import besides the standard library. "…/*" stands for one folder, "…/..." for a
// folder and all below it.
type room struct {
	name      string
	packages  []string
	ours      []string // packages of this module
	libraries []string // modules, or packages below them
	why       string
}

// itsCore stands for the folder above an edge, a work room or an adapter.
const itsCore = "its core"

// anything lifts the law for a room.
const anything = "anything"

// Libraries by short names.
const (
	gorm     = "gorm.io/gorm"
	prom     = "github.com/prometheus/client_golang"
	pflag    = "github.com/spf13/pflag"
	cobra    = "github.com/spf13/cobra"
	xid      = "github.com/rs/xid"
	yaml     = "go.yaml.in/yaml/v3"
	mux      = "github.com/gorilla/mux"
	quantity = "k8s.io/apimachinery/pkg/api/resource"
	errgroup = "golang.org/x/sync"
	expfmt   = "github.com/prometheus/common"
	lru      = "github.com/hashicorp/golang-lru/v2"
)

func packages(list ...string) []string { return list }

// law is THE table. The first line that fits a package holds for it; a package
// that fits none is a breach, and so is a grant that nobody uses. It is printed in
// docs/architecture.md.
func law() []room {
	return []room{
		{"wire", packages("openapi", "pkg/api/*"), nil, packages(mux, "github.com/oapi-codegen/runtime", yaml),
			"generated from the specs; knows nothing of us"},

		{"ground", packages("internal/apierr", "internal/clock", "internal/log"), nil, nil,
			"everybody stands on it, so it stands on nothing"},
		{"files", packages("internal/configfile"), packages("internal/log"), packages(yaml),
			"reads secrets and YAML without knowing what they mean"},
		{"crash points", packages("internal/crash"), nil, packages("github.com/jackc/pgx/v5"),
			"sits around the driver and the transports; nothing of it is in the binary that ships"},
		{"database", packages("internal/db"), packages("internal/crash", "internal/log"),
			packages("github.com/jackc/pgx/v5", gorm, "gorm.io/driver/postgres", prom, pflag),
			"the pool, transactions, notifications, sealed columns; no table"},
		{"migrations", packages("internal/db/migrations"), packages("internal/db"),
			packages("github.com/go-gormigrate/gormigrate/v2", gorm), "frozen steps; no row type of a domain"},
		{"search", packages("internal/search"), packages("internal/apierr"), nil, "text in, SQL and arguments out"},
		{"edge plumbing", packages("internal/httpx"), packages("internal/apierr", "internal/log"),
			packages("github.com/gorilla", "github.com/klauspost/compress", "github.com/hashicorp/golang-lru/v2", "github.com/cespare/xxhash/v2", "golang.org/x/time/rate", prom, pflag, xid),
			"what every request has in common; who may call what is a func that app wires in"},
		{"lease and engine", packages("internal/lease", "internal/reconcile"), packages("internal/db", "internal/log"),
			packages(prom, pflag), "how loops run, not what they do"},

		{"access", packages("internal/access"), packages("internal/apierr", "internal/clock", "internal/configfile", "internal/log"),
			packages("github.com/golang-jwt/jwt/v4", pflag), "who is calling; no right on a single object"},
		{"catalogue", packages("internal/catalog"), packages("internal/apierr", "internal/clock", "internal/configfile"), packages(pflag, yaml, quantity),
			"a read model; what lives in the fleet it is told by funcs"},
		{"quota", packages("internal/quota"), packages("internal/apierr", "internal/catalog", "internal/configfile"), packages(pflag, yaml),
			"judges sums that its caller counted, so it needs no row"},
		{"ledger", packages("internal/ledger"), packages("internal/db"), packages(xid), "intents of any owner; knows no owner and no upstream"},
		{"core cluster", packages("internal/cluster"),
			packages("internal/apierr", "internal/catalog", "internal/clock", "internal/configfile", "internal/db", "internal/ledger", "internal/log"),
			packages(gorm, prom, pflag), "below kafka: where it must ask back it is handed a func"},
		{"core kafka", packages("internal/kafka"),
			packages("internal/access", "internal/apierr", "internal/catalog", "internal/clock", "internal/cluster", "internal/db",
				"internal/ledger", "internal/log", "internal/quota", "internal/search"),
			packages(prom, pflag, xid), "search is part of its reading side: the columns that may be searched are its own"},
		{"core serviceaccount", packages("internal/serviceaccount"),
			packages("internal/access", "internal/apierr", "internal/clock", "internal/configfile", "internal/db", "internal/ledger", "internal/log"),
			packages(gorm, pflag, xid, "github.com/google/uuid"), "rules of accounts; the SSO behind them is an adapter's"},

		{"robots", packages("internal/robot"), packages("internal/log"), nil,
			"accounts of our machines, in words that the work rooms and two kinds of SSO share"},
		{"core metrics of customers", packages("internal/metricsapi"),
			packages("internal/access", "internal/apierr", "internal/clock"),
			packages(expfmt, "github.com/prometheus/client_model", lru, errgroup),
			"which figures customers get and how they look; where an instance is and who measured it, it is handed as funcs"},

		{"adapters", packages("internal/serviceaccount/keycloak", "internal/serviceaccount/redhatsso", "internal/robot/keycloak", "internal/robot/redhatsso",
			"internal/metricsapi/observatorium"),
			packages(itsCore, "internal/access", "internal/apierr", "internal/log", "internal/upstream/keycloak", "internal/upstream/redhatsso",
				"internal/upstream/observatorium"), nil,
			"one upstream in the words of one core"},
		{"quota's adapter", packages("internal/quota/ams"),
			packages(itsCore, "internal/apierr", "internal/catalog", "internal/upstream/ams", "internal/upstream/ocm"), nil,
			"accounts management in the words of quota; the errors of its client are ocm's"},
		{"edge rooms", packages("internal/kafka/kafkahttp", "internal/cluster/clusterhttp", "internal/catalog/cataloghttp", "internal/serviceaccount/serviceaccounthttp", "internal/metadatahttp",
			"internal/metricsapi/metricsapihttp"),
			packages(itsCore, "pkg/api/*", "internal/access", "internal/apierr", "internal/cluster", "internal/httpx"),
			packages(quantity, lru, "github.com/go-json-experiment/json"), "the only place where a wire type meets a row; an agent's request names its cluster, hence cluster"},
		{"documents", packages("internal/docshttp"), packages("openapi", "pkg/api/*", "internal/apierr", "internal/httpx"),
			packages("github.com/swaggest/swgui/v5/static", pflag), "an edge room whose core is the specs; of the page's library it takes the files and no code"},
		{"work rooms", packages("internal/kafka/kafkawork", "internal/cluster/clusterwork", "internal/serviceaccount/serviceaccountwork"),
			packages(itsCore, "internal/catalog", "internal/clock", "internal/cluster", "internal/db", "internal/ledger", "internal/quota", "internal/reconcile", "internal/robot", "internal/upstream/*"),
			packages(xid), "the only place from which loops call upstreams"},

		{"accounts upstream", packages("internal/upstream/ams"), packages("internal/upstream/ocm"),
			packages("github.com/openshift-online/ocm-sdk-go", lru, errgroup), "the same SDK, gateway and login as the cluster service: the connection is ocm's"},
		{"upstreams", packages("internal/upstream/*"), packages("internal/configfile", "internal/crash", "internal/log"),
			packages("github.com/Nerzal/gocloak/v13", "github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "github.com/openshift-online/ocm-sdk-go", pflag,
				prom, expfmt, "golang.org/x/oauth2"),
			"thin clients over an SDK, each with its own flags; never a domain"},

		{"configuration", packages("internal/config"),
			packages("internal/access", "internal/catalog", "internal/cluster", "internal/configfile", "internal/db", "internal/docshttp", "internal/httpx", "internal/kafka",
				"internal/lease", "internal/log", "internal/quota", "internal/reconcile", "internal/serviceaccount", "internal/upstream/*"),
			packages(pflag), "puts the Config types of all parts together; calls nothing else of theirs"},
		{"process", packages("internal/app"), packages("internal/...", "pkg/api/*"),
			packages(prom, mux, errgroup, "github.com/getsentry/sentry-go"), "wiring only; a store or a rule here is a mistake"},
		{"command", packages("cmd/kas-fleet-manager"),
			packages("internal/app", "internal/config", "internal/db", "internal/db/migrations", "internal/log"), packages(cobra),
			"exit codes, signals and output"},

		{"world outside", packages("test/agent/...", "test/broker/...", "test/compat/sdk", "test/emulator/..."),
			packages("internal/clock", "internal/log", "test/broker/...", "test/emulator/..."), packages(anything),
			"shares no code with what it stands against: a mistake on both sides would cancel out"},
		{"sandbox and tests", packages("cmd/sandbox/...", "test/..."), packages(anything), packages(anything), "never shipped"},
	}
}

// reservation is a package that only the named ones may import, tests included.
// A target with "freely" may be imported by any test too.
type reservation struct {
	target string
	by     []string
	freely bool
	why    string
}

func reserved() []reservation {
	return []reservation{
		{"internal/app", packages("cmd/*", "test/harness/..."), false, "the process has an owner: a command or a test of the whole"},
		{"internal/config", packages("cmd/*", "internal/app", "test/..."), false, "a part knows its own Config only"},
		{"internal/db/migrations", packages("cmd/*", "internal/app", "test/..."), false, "the schema is a deployment's business"},
		{"test/...", packages("test/...", "cmd/sandbox/..."), true, "nothing that ships holds a test's code"},
	}
}

// territory says in which files a library may appear at all.
type territory struct {
	name   string
	rooms  []string // packages that the line is about
	except []string
	files  []string // names, "*" for any text
	why    string
}

// territories of the libraries that would otherwise seep everywhere.
func territories() map[string]territory {
	return map[string]territory{
		gorm: {"gorm", packages("internal/...", "cmd/kas-fleet-manager"), packages("internal/db", "internal/db/migrations", "internal/lease"),
			packages("store*.go"), "SQL is found by opening one kind of file"},
		prom: {"prometheus", packages("internal/..."), packages("internal/app", "internal/db", "internal/httpx", "internal/reconcile", "internal/upstream/observatorium"),
			packages("metrics.go"), "all series of a domain on one page"},
		pflag: {"pflag", packages("internal/..."), packages("internal/config", "internal/httpx", "internal/reconcile", "internal/lease"),
			packages("config.go"), "all flags of a part on one page"},
	}
}

// pureFiles decide: they see values and return values.
func pureFiles() territory {
	return territory{"pure", packages("internal/kafka", "internal/cluster", "internal/serviceaccount", "internal/catalog", "internal/quota"), nil,
		packages("lifecycle.go", "admit.go", "place.go", "report.go", "provision.go", "retire.go", "naming.go", "terraform.go", "scale.go", "capacity.go", "offer.go"),
		"every case of a decision can be tested without a process around it"}
}
