// Package route53 emulates the part of AWS Route 53 that the fleet manager calls:
// finding a zone, changing and listing record sets, asking for a change's state.
//
// It is for tests and for the sandbox, whose resolver asks Lookup. It is no DNS
// server, does not verify signatures and knows no alias, weighted or geo records.
// Invariant: a change batch is applied as a whole or not at all.
//
// Assumptions about the real service that nothing here can prove: the texts of
// refused batches, and that a change is visible to the list calls at once.
package route53

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Zone is a hosted zone. Zones of one name may exist side by side.
type Zone struct {
	ID      string
	Name    string
	Private bool
}

// StaticHost gives an address to a host that no zone holds, such as a router's.
// A pattern that begins with "*." stands for every host below.
type StaticHost struct {
	Pattern string
	IP      string
}

// Record is a record set. Names have no trailing dot.
type Record struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	TTL    int64    `json:"ttl"`
	Values []string `json:"values"`
}

// Options configure the emulator.
type Options struct {
	Zones     []Zone
	Static    []StaticHost
	SyncAfter time.Duration    // how long a change stays PENDING
	AccessKey string           // the access key that must sign; empty: any
	Now       func() time.Time // nil: the machine's clock
}

// Route53 is the emulator's state.
type Route53 struct {
	options Options
	now     func() time.Time

	mu      sync.Mutex
	zones   []*zone // in the order of their names as the service sorts them
	changes map[string]time.Time
	last    int
}

type zone struct {
	Zone
	records map[recordKey]Record
}

type recordKey struct{ name, kind string }

// New makes an emulator. Each zone starts with its NS and SOA records, as real ones do.
func New(o Options) *Route53 {
	r := &Route53{options: o, now: o.Now, changes: map[string]time.Time{}}
	if r.now == nil {
		r.now = time.Now
	}
	for _, z := range o.Zones {
		z.Name = canonical(z.Name)
		fresh := &zone{Zone: z, records: map[recordKey]Record{}}
		fresh.put(Record{Name: z.Name, Type: "NS", TTL: 172800, Values: []string{"ns-1.emulated.test."}})
		fresh.put(Record{Name: z.Name, Type: "SOA", TTL: 900, Values: []string{"ns-1.emulated.test. admin.emulated.test. 1 7200 900 1209600 86400"}})
		r.zones = append(r.zones, fresh)
	}
	slices.SortFunc(r.zones, func(a, b *zone) int {
		return cmp.Or(compareNames(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return r
}

// Records gives what the zones of that name hold besides their NS and SOA records, sorted.
func (r *Route53) Records(zoneName string) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []Record{}
	for _, z := range r.zones {
		if z.Name != canonical(zoneName) {
			continue
		}
		for _, record := range z.sorted() {
			if record.Name != z.Name {
				found = append(found, record)
			}
		}
	}
	return found
}

// Put sets a record past the API, as another owner of the zone would. It reports whether the zone exists.
func (r *Route53) Put(zoneID string, record Record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	z := r.zone(zoneID)
	if z != nil {
		z.put(record)
	}
	return z != nil
}

// ForgetChanges makes every change so far unknown, as the service does with old ones.
func (r *Route53) ForgetChanges() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.changes)
}

// Lookup resolves a host to an address: through the public zones' CNAME and A
// records, then the static hosts. ok is false when the chain ends without one.
func (r *Route53) Lookup(name string) (address string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name = canonical(name)
	for range 16 { // longer chains are loops
		record, found := r.resolve(name)
		if !found {
			return r.static(name)
		}
		if record.Type == "A" {
			return record.Values[0], true
		}
		name = canonical(record.Values[0])
	}
	return "", false
}

func (r *Route53) resolve(name string) (Record, bool) {
	_, parent, _ := strings.Cut(name, ".")
	for _, owner := range []string{name, "*." + parent} {
		for _, z := range r.zones {
			for _, kind := range []string{"A", "CNAME"} {
				if record, ok := z.records[recordKey{owner, kind}]; ok && !z.Private && len(record.Values) > 0 {
					return record, true
				}
			}
		}
	}
	return Record{}, false
}

func (r *Route53) static(name string) (string, bool) {
	for _, host := range r.options.Static {
		pattern := canonical(host.Pattern)
		suffix, wild := strings.CutPrefix(pattern, "*")
		if pattern == name || (wild && strings.HasSuffix(name, suffix)) {
			return host.IP, true
		}
	}
	return "", false
}

// State gives all zones with their records, for a management route.
func (r *Route53) State() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	type zoneState struct {
		ID      string   `json:"id"`
		Name    string   `json:"name"`
		Private bool     `json:"private"`
		Records []Record `json:"records"`
	}
	zones := []zoneState{}
	for _, z := range r.zones {
		zones = append(zones, zoneState{z.ID, z.Name, z.Private, z.sorted()})
	}
	return map[string]any{"zones": zones, "changes": len(r.changes)}
}

// Handler serves the REST API.
func (r *Route53) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2013-04-01/hostedzonesbyname", r.listZones)
	mux.HandleFunc("GET /2013-04-01/hostedzone/{zone}", r.getZone)
	mux.HandleFunc("GET /2013-04-01/hostedzone/{zone}/rrset", r.listRecords)
	mux.HandleFunc("POST /2013-04-01/hostedzone/{zone}/rrset", r.changeRecords)
	mux.HandleFunc("GET /2013-04-01/change/{change}", r.getChange)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		key, signed := strings.CutPrefix(req.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=")
		key, _, _ = strings.Cut(key, "/")
		switch {
		case !signed:
			fail(w, http.StatusForbidden, "MissingAuthenticationToken", "Missing Authentication Token")
		case r.options.AccessKey != "" && key != r.options.AccessKey:
			fail(w, http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
		default:
			r.mu.Lock()
			defer r.mu.Unlock()
			mux.ServeHTTP(w, req)
		}
	})
}

func (r *Route53) zone(id string) *zone {
	for _, z := range r.zones {
		if z.ID == id {
			return z
		}
	}
	return nil
}

func (r *Route53) newChange() string {
	r.last++
	id := fmt.Sprintf("C%013d", r.last)
	r.changes[id] = r.now()
	return id
}

func (z *zone) put(record Record) {
	record.Name = canonical(record.Name)
	z.records[recordKey{record.Name, record.Type}] = record
}

// sorted gives the records in the order of the list calls: by name with its labels reversed, then type.
func (z *zone) sorted() []Record {
	all := make([]Record, 0, len(z.records))
	for _, record := range z.records {
		all = append(all, record)
	}
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(compareNames(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return all
}

// canonical is a name as the state keeps it: lower case, no trailing dot, a plain star.
func canonical(name string) string {
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), ".")
	return strings.ReplaceAll(name, `\052`, "*")
}

// onWire is a name as the service writes it.
func onWire(name string) string { return strings.ReplaceAll(name, "*", `\052`) + "." }

func compareNames(a, b string) int {
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	slices.Reverse(left)
	slices.Reverse(right)
	return slices.Compare(left, right)
}
