package ocm

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

type addon struct {
	id         string
	state      string
	parameters []parameter
	since      time.Time
	moves      bool
	told       bool // OnAddonReady has run for these parameters
}

type parameter struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

type wireParameters struct {
	Items []parameter `json:"items"`
}

type wireAddon struct {
	Kind       string            `json:"kind"`
	ID         string            `json:"id"`
	Href       string            `json:"href"`
	Addon      map[string]string `json:"addon"`
	State      string            `json:"state"`
	Text       string            `json:"state_description"`
	Parameters *wireParameters   `json:"parameters,omitempty"`
}

func (e *OCM) addonRoutes(mux *http.ServeMux) {
	at := Service.Base + "/clusters/{cluster}/addons"
	mux.HandleFunc("GET "+at, e.with(func(w http.ResponseWriter, r *http.Request, c *cluster) {
		found := []wireAddon{}
		for _, a := range c.addons {
			found = append(found, a.toWire(c.ID))
		}
		wire.List(w, r, "AddOnInstallationList", found)
	}))
	mux.HandleFunc("POST "+at, e.with(e.installAddon))
	mux.HandleFunc("GET "+at+"/{addon}", e.withAddon(func(w http.ResponseWriter, _ *http.Request, c *cluster, a *addon) {
		wire.Reply(w, http.StatusOK, a.toWire(c.ID))
	}))
	mux.HandleFunc("PATCH "+at+"/{addon}", e.withAddon(patchAddon))
	mux.HandleFunc("DELETE "+at+"/{addon}", e.withAddon(e.removeAddon))
}

func (e *OCM) withAddon(serve func(http.ResponseWriter, *http.Request, *cluster, *addon)) http.HandlerFunc {
	return e.with(func(w http.ResponseWriter, r *http.Request, c *cluster) {
		id := r.PathValue("addon")
		a := e.addon(c.ID, id)
		if a == nil {
			Service.Fail(w, http.StatusNotFound, fmt.Sprintf("Addon installation '%s' not found", id))
			return
		}
		serve(w, r, c, a)
	})
}

func (e *OCM) addon(clusterID, addonID string) *addon {
	if c := e.cluster(clusterID); c != nil {
		for _, a := range c.addons {
			if a.id == addonID {
				return a
			}
		}
	}
	return nil
}

func (a *addon) toWire(clusterID string) wireAddon {
	out := wireAddon{
		Kind: "AddOnInstallation", ID: a.id, Href: Service.Base + "/clusters/" + clusterID + "/addons/" + a.id,
		Addon: map[string]string{"kind": "AddOnLink", "id": a.id}, State: a.state,
	}
	if len(a.parameters) > 0 {
		out.Parameters = &wireParameters{Items: a.parameters}
	}
	return out
}

func (a *addon) values() map[string]string {
	values := map[string]string{}
	for _, p := range a.parameters {
		values[p.ID] = p.Value
	}
	return values
}

// settleAddons advances a cluster's add-ons and notes the hooks that are due.
func (e *OCM) settleAddons(c *cluster, now time.Time) {
	c.addons = slices.DeleteFunc(c.addons, func(a *addon) bool {
		return a.moves && a.state == "deleting" && now.Sub(a.since) >= e.options.AddonTime
	})
	for _, a := range c.addons {
		if a.moves && a.state != "deleting" {
			a.state = progress(now.Sub(a.since), e.options.AddonTime)
		}
		if a.state == "ready" && !a.told && e.options.OnAddonReady != nil {
			a.told = true
			clusterID, id, values := c.ID, a.id, a.values()
			e.due = append(e.due, func() { e.options.OnAddonReady(clusterID, id, values) })
		}
	}
}

func (e *OCM) installAddon(w http.ResponseWriter, r *http.Request, c *cluster) {
	var in struct {
		Addon      struct{ ID string } `json:"addon"`
		Parameters wireParameters      `json:"parameters"`
	}
	if !Service.Decode(w, r, &in) {
		return
	}
	switch {
	case in.Addon.ID == "":
		Service.Fail(w, http.StatusBadRequest, "Attribute 'addon.id' is mandatory")
	case c.State != "ready":
		Service.Fail(w, http.StatusBadRequest, fmt.Sprintf("Cluster '%s' is not ready", c.ID))
	case e.addon(c.ID, in.Addon.ID) != nil:
		Service.Fail(w, http.StatusConflict, fmt.Sprintf("Addon '%s' is already installed on cluster '%s'", in.Addon.ID, c.ID))
	default:
		fresh := &addon{id: in.Addon.ID, state: "pending", parameters: in.Parameters.Items, since: e.now(), moves: true}
		c.addons = append(c.addons, fresh)
		wire.Reply(w, http.StatusCreated, fresh.toWire(c.ID))
	}
}

func patchAddon(w http.ResponseWriter, r *http.Request, c *cluster, a *addon) {
	var in struct {
		Parameters *wireParameters `json:"parameters"`
	}
	if !Service.Decode(w, r, &in) {
		return
	}
	if in.Parameters != nil {
		a.parameters, a.told = in.Parameters.Items, false
	}
	wire.Reply(w, http.StatusOK, a.toWire(c.ID))
}

func (e *OCM) removeAddon(w http.ResponseWriter, _ *http.Request, _ *cluster, a *addon) {
	if a.state != "deleting" {
		a.state, a.since, a.moves = "deleting", e.now(), true
	}
	w.WriteHeader(http.StatusNoContent)
}
