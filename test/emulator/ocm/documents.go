package ocm

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

// documents are objects of one collection of a cluster, by id, kept as they came.
type documents map[string]object

func (d *documents) put(id string, doc object) {
	if *d == nil {
		*d = documents{}
	}
	(*d)[id] = doc
}

func (d documents) list(w http.ResponseWriter, r *http.Request, kind string) {
	all := []object{}
	for _, id := range slices.Sorted(maps.Keys(d)) {
		all = append(all, d[id])
	}
	wire.List(w, r, kind, all)
}

func (d documents) find(w http.ResponseWriter, r *http.Request) (object, bool) {
	doc, ok := d[r.PathValue("id")]
	if !ok {
		Service.Fail(w, http.StatusNotFound, fmt.Sprintf("'%s' not found", r.PathValue("id")))
	}
	return doc, ok
}

func (e *OCM) documentRoutes(mux *http.ServeMux) {
	at := Service.Base + "/clusters/{cluster}"
	e.collection(mux, at+"/machine_pools", "MachinePoolList", func(c *cluster) *documents { return &c.pools })
	e.collection(mux, at+"/identity_providers", "IdentityProviderList", func(c *cluster) *documents { return &c.idps })
	e.collection(mux, at+"/external_configuration/syncsets", "SyncsetList", func(c *cluster) *documents { return &c.syncSets })
	mux.HandleFunc("POST "+at+"/machine_pools", e.with(addPool))
	mux.HandleFunc("POST "+at+"/identity_providers", e.with(e.addIdentityProvider))
	mux.HandleFunc("POST "+at+"/external_configuration/syncsets", e.with(addSyncSet))
}

// collection serves the reading, changing and deleting that all collections have alike.
func (e *OCM) collection(mux *http.ServeMux, at, kind string, of func(*cluster) *documents) {
	mux.HandleFunc("GET "+at, e.with(func(w http.ResponseWriter, r *http.Request, c *cluster) {
		of(c).list(w, r, kind)
	}))
	mux.HandleFunc("GET "+at+"/{id}", e.with(func(w http.ResponseWriter, r *http.Request, c *cluster) {
		if doc, ok := of(c).find(w, r); ok {
			wire.Reply(w, http.StatusOK, doc)
		}
	}))
	mux.HandleFunc("PATCH "+at+"/{id}", e.with(func(w http.ResponseWriter, r *http.Request, c *cluster) {
		var in object
		doc, ok := of(c).find(w, r)
		if !ok || !Service.Decode(w, r, &in) {
			return
		}
		delete(in, "id")
		maps.Copy(doc, in)
		wire.Reply(w, http.StatusOK, doc)
	}))
	mux.HandleFunc("DELETE "+at+"/{id}", e.with(func(w http.ResponseWriter, r *http.Request, c *cluster) {
		if _, ok := of(c).find(w, r); ok {
			delete(*of(c), r.PathValue("id"))
			w.WriteHeader(http.StatusNoContent)
		}
	}))
}

func addPool(w http.ResponseWriter, r *http.Request, c *cluster) {
	var in object
	if !Service.Decode(w, r, &in) {
		return
	}
	id, _ := in["id"].(string)
	_, exists := c.pools[id]
	switch {
	case id == "" || len(id) > 30:
		Service.Fail(w, http.StatusBadRequest, "Machine pool identifier must have 1 to 30 characters")
		return
	case exists:
		Service.Fail(w, http.StatusBadRequest, fmt.Sprintf("Machine pool '%s' already exists", id))
		return
	case c.MultiAZ && !spreads(in):
		Service.Fail(w, http.StatusBadRequest, "Replicas of a multi-AZ cluster must be a multiple of 3")
		return
	}
	zones := []string{c.Region + "a"}
	if c.MultiAZ {
		zones = append(zones, c.Region+"b", c.Region+"c")
	}
	in["availability_zones"] = zones
	c.pools.put(id, in)
	wire.Reply(w, http.StatusCreated, in)
}

// spreads tells whether the numbers of replicas divide among three zones.
func spreads(pool object) bool {
	counts := []any{pool["replicas"]}
	if scaling, ok := pool["autoscaling"].(object); ok {
		counts = append(counts, scaling["min_replicas"], scaling["max_replicas"])
	}
	for _, count := range counts {
		if n, ok := count.(float64); ok && int(n)%3 != 0 {
			return false
		}
	}
	return true
}

func (e *OCM) addIdentityProvider(w http.ResponseWriter, r *http.Request, c *cluster) {
	var in object
	if !Service.Decode(w, r, &in) {
		return
	}
	for _, idp := range c.idps {
		if idp["name"] == in["name"] {
			Service.Fail(w, http.StatusBadRequest, fmt.Sprintf("Identity provider with name '%v' already exists", in["name"]))
			return
		}
	}
	e.last++
	id := fmt.Sprintf("2%031x", e.last)
	in["id"] = id
	c.idps.put(id, in)
	wire.Reply(w, http.StatusCreated, in)
}

func addSyncSet(w http.ResponseWriter, r *http.Request, c *cluster) {
	var in object
	if !Service.Decode(w, r, &in) {
		return
	}
	id, _ := in["id"].(string)
	if _, exists := c.syncSets[id]; exists || id == "" {
		Service.Fail(w, http.StatusConflict, fmt.Sprintf("Syncset '%s' has no identifier or already exists", id))
		return
	}
	c.syncSets.put(id, in)
	wire.Reply(w, http.StatusCreated, in)
}
