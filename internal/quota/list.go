package quota

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

// standardModel is the billing model of a grant that names none.
const standardModel = "standard"

// List is the quota management list, ready for look-ups. The zero value grants nothing.
type List struct {
	accounts      map[string]entry
	organisations map[string]organisation
}

type organisation struct {
	entry
	everybody bool             // no users are listed and any user may order
	users     map[string]entry // listed users; those without a grant of their own have the organisation's
}

// entry is what an account or an organisation was granted.
type entry struct {
	ofOrganisation bool
	max            int // zero: the default limit
	grants         []grant
}

type grant struct {
	instanceType string
	models       []grantedModel
}

type grantedModel struct {
	id      string
	max     int       // zero: the limit of the entry
	expires time.Time // zero: never
}

// find gives what holds for the account: its organisation's entry if the account
// is registered there, else its own. Organisation and user compare exactly.
func (l List) find(who Account) (entry, bool) {
	if org, ok := l.organisations[who.OrgID]; ok && who.OrgID != "" {
		if org.everybody {
			return org.entry, true
		}
		if user, ok := org.users[who.Username]; ok {
			return user, true
		}
	}
	own, ok := l.accounts[who.Username]
	return own, ok
}

// models gives the granted billing models of an instance type; the first grant counts.
func (e entry) models(instanceType string) []grantedModel {
	for _, g := range e.grants {
		if strings.EqualFold(g.instanceType, instanceType) {
			return g.models
		}
	}
	return nil
}

func (e entry) model(instanceType, id string) (grantedModel, bool) {
	for _, m := range e.models(instanceType) {
		if strings.EqualFold(m.id, id) {
			return m, true
		}
	}
	return grantedModel{}, false
}

// limit takes the most specific number. What is not granted or expired is 0.
func (e entry) limit(instanceType, model string, now time.Time, usual int) int {
	m, ok := e.model(instanceType, model)
	switch {
	case !ok || (!m.expires.IsZero() && now.After(m.expires)):
		return 0
	case m.max > 0:
		return m.max
	case e.max > 0:
		return e.max
	default:
		return usual
	}
}

type listFile struct {
	Accounts      []accountFile      `yaml:"registered_service_accounts"`
	Organisations []organisationFile `yaml:"registered_users_per_organisation"`
}

type accountFile struct {
	Username string      `yaml:"username"`
	Max      int         `yaml:"max_allowed_instances"`
	Grants   []grantFile `yaml:"granted_quota"`
}

type organisationFile struct {
	ID      string        `yaml:"id"`
	AnyUser bool          `yaml:"any_user"`
	Max     int           `yaml:"max_allowed_instances"`
	Users   []accountFile `yaml:"registered_users"`
	Grants  []grantFile   `yaml:"granted_quota"`
}

type grantFile struct {
	InstanceType string      `yaml:"instance_type_id"`
	Models       []modelFile `yaml:"kafka_billing_models"`
}

type modelFile struct {
	ID      string     `yaml:"id"`
	Max     int        `yaml:"max_allowed_instances"`
	Expires expiration `yaml:"expiration_date"`
}

type expiration struct{ time.Time }

// expirationLayout is a day with the offset of the zone in which it begins.
const expirationLayout = "2006-01-02 -07:00"

// UnmarshalYAML reads the instant from which on the grant is worth nothing.
func (e *expiration) UnmarshalYAML(node *yaml.Node) error {
	at, err := time.Parse(expirationLayout, node.Value)
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: expected a date like 2030-12-31 +00:00, found `%s`", node.Line, node.Value)}}
	}
	e.Time = at
	return nil
}

// Parse makes a list from the content of a file.
func Parse(name string, raw []byte) (List, error) {
	var file listFile
	if err := configfile.Decode(name, raw, &file); err != nil {
		return List{}, err
	}
	var problems configfile.Problems
	checkList(&problems, file)
	if err := problems.Err(name, raw); err != nil {
		return List{}, err
	}
	return file.list(), nil
}

// Open reads the list and keeps it up to date while the result runs.
func Open(config Config, cat *catalog.Catalog, logger *slog.Logger) (*configfile.Live[Rules], error) {
	live, err := configfile.NewLive(configfile.Source[Rules]{
		Path:     config.ListFile,
		Fallback: configfile.Fallback{Path: DefaultListFile},
		Parse: func(name string, raw []byte) (Rules, error) {
			list, err := Parse(name, raw)
			return Rules{List: list, Catalog: cat, Config: config}, err
		},
		Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if list := live.Get().List; config.Type != AMSType && len(list.accounts)+len(list.organisations) == 0 {
		logger.Warn("quota management list is missing or empty: everybody gets trial instances only", "file", config.ListFile)
	}
	return live, nil
}

func checkList(problems *configfile.Problems, file listFile) {
	accounts := func(at configfile.Place, list []accountFile) {
		for i, a := range list {
			if a.Username == "" {
				problems.Addf(at.At(i, "username"), "is required")
			}
			checkEntry(problems, at.At(i), a.Max, a.Grants)
		}
	}
	accounts(configfile.Place{"registered_service_accounts"}, file.Accounts)
	for i, o := range file.Organisations {
		at := configfile.Place{"registered_users_per_organisation", i}
		if o.ID == "" {
			problems.Addf(at.At("id"), "is required")
		}
		checkEntry(problems, at, o.Max, o.Grants)
		accounts(at.At("registered_users"), o.Users)
	}
}

func checkEntry(problems *configfile.Problems, at configfile.Place, most int, grants []grantFile) {
	notNegative := func(at configfile.Place, n int) {
		if n < 0 {
			problems.Addf(at.At("max_allowed_instances"), "must not be negative")
		}
	}
	notNegative(at, most)
	for i, g := range grants {
		at := at.At("granted_quota", i)
		if g.InstanceType == "" {
			problems.Addf(at.At("instance_type_id"), "is required")
		}
		for j, m := range g.Models {
			at := at.At("kafka_billing_models", j)
			if m.ID == "" {
				problems.Addf(at.At("id"), "is required")
			}
			notNegative(at, m.Max)
		}
	}
}

func (f listFile) list() List {
	list := List{accounts: map[string]entry{}, organisations: map[string]organisation{}}
	for _, a := range f.Accounts {
		if _, before := list.accounts[a.Username]; !before {
			list.accounts[a.Username] = entry{max: a.Max, grants: grantsOf(a.Grants)}
		}
	}
	for _, o := range f.Organisations {
		if _, before := list.organisations[o.ID]; !before {
			list.organisations[o.ID] = o.value()
		}
	}
	return list
}

func (o organisationFile) value() organisation {
	org := organisation{
		entry:     entry{ofOrganisation: true, max: o.Max, grants: grantsOf(o.Grants)},
		everybody: o.AnyUser && len(o.Users) == 0,
		users:     map[string]entry{},
	}
	for _, u := range o.Users {
		if _, before := org.users[u.Username]; before {
			continue
		}
		org.users[u.Username] = org.entry
		if len(u.Grants) > 0 {
			// A grant of one's own is not shared, so one's own instances count.
			own := entry{max: u.Max, grants: grantsOf(u.Grants)}
			if own.max == 0 {
				own.max = o.Max
			}
			org.users[u.Username] = own
		}
	}
	return org
}

func grantsOf(file []grantFile) []grant {
	if len(file) == 0 {
		file = []grantFile{{InstanceType: catalog.Standard}}
	}
	grants := make([]grant, 0, len(file))
	for _, g := range file {
		models := g.Models
		if len(models) == 0 {
			models = []modelFile{{ID: standardModel}}
		}
		one := grant{instanceType: g.InstanceType}
		for _, m := range models {
			one.models = append(one.models, grantedModel{id: m.ID, max: m.Max, expires: m.Expires.Time})
		}
		grants = append(grants, one)
	}
	return grants
}
