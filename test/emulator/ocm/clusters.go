package ocm

import (
	"fmt"
	"net/http"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

type object = map[string]any

func (e *OCM) clusterRoutes(mux *http.ServeMux) {
	at := Service.Base
	mux.HandleFunc("GET "+at+"/clusters", e.listClusters)
	mux.HandleFunc("POST "+at+"/clusters", e.createCluster)
	mux.HandleFunc("GET "+at+"/clusters/{cluster}", e.with(func(w http.ResponseWriter, _ *http.Request, c *cluster) {
		wire.Reply(w, http.StatusOK, c.toWire())
	}))
	mux.HandleFunc("DELETE "+at+"/clusters/{cluster}", e.with(e.deleteCluster))
	mux.HandleFunc("GET "+at+"/clusters/{cluster}/status", e.with(func(w http.ResponseWriter, _ *http.Request, c *cluster) {
		wire.Reply(w, http.StatusOK, c.status())
	}))
	mux.HandleFunc("GET "+at+"/clusters/{cluster}/ingresses", e.with(listIngresses))
	mux.HandleFunc("GET "+at+"/cloud_providers", e.listProviders)
	mux.HandleFunc("GET "+at+"/cloud_providers/{provider}/regions", e.listRegions)
}

// with finds the path's cluster or answers 404.
func (e *OCM) with(serve func(http.ResponseWriter, *http.Request, *cluster)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("cluster")
		c := e.cluster(id)
		if c == nil {
			Service.Fail(w, http.StatusNotFound, fmt.Sprintf("Cluster '%s' not found", id))
			return
		}
		serve(w, r, c)
	}
}

func (c *cluster) status() object {
	return object{
		"kind": "ClusterStatus", "id": c.ID, "state": c.State, "description": "",
		"provision_error_code": "", "provision_error_message": c.ProvisionError,
	}
}

func (c *cluster) toWire() object {
	out := object{
		"kind": "Cluster", "id": c.ID, "href": Service.Base + "/clusters/" + c.ID, "name": c.Name,
		"state": c.State, "status": c.status(), "multi_az": c.MultiAZ, "managed": true,
		"cloud_provider": object{"kind": "CloudProviderLink", "id": c.CloudProvider},
		"region":         object{"kind": "CloudRegionLink", "id": c.Region},
	}
	if c.ExternalID != "" {
		out["external_id"] = c.ExternalID
	}
	if len(c.properties) > 0 {
		out["properties"] = c.properties
	}
	return out
}

func (e *OCM) listClusters(w http.ResponseWriter, r *http.Request) {
	search, err := wire.ParseSearch(r.URL.Query().Get("search"), "id", "name", "external_id")
	if err != nil {
		Service.Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	found := []object{}
	for _, c := range e.clusters {
		if search.Matches(map[string]string{"id": c.ID, "name": c.Name, "external_id": c.ExternalID}) {
			found = append(found, c.toWire())
		}
	}
	wire.List(w, r, "ClusterList", found)
}

func (e *OCM) createCluster(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name          string              `json:"name"`
		CloudProvider struct{ ID string } `json:"cloud_provider"`
		Region        struct{ ID string } `json:"region"`
		MultiAZ       bool                `json:"multi_az"`
		Properties    map[string]string   `json:"properties"`
	}
	if !Service.Decode(w, r, &in) {
		return
	}
	if in.Name == "" || len(in.Name) > 54 || in.CloudProvider.ID == "" || in.Region.ID == "" {
		Service.Fail(w, http.StatusBadRequest, "Cluster name, cloud provider and region are required")
		return
	}
	for _, c := range e.clusters {
		if c.Name == in.Name {
			Service.Fail(w, http.StatusBadRequest, fmt.Sprintf("Cluster name '%s' is already in use", in.Name))
			return
		}
	}
	e.last++
	fresh := &cluster{
		Cluster: Cluster{
			ID: fmt.Sprintf("1%031x", e.last), Name: in.Name, State: "pending", MultiAZ: in.MultiAZ,
			CloudProvider: in.CloudProvider.ID, Region: in.Region.ID, DNS: "apps." + in.Name + ".emulated.test",
		},
		properties: in.Properties, since: e.now(), moves: true,
	}
	e.clusters = append(e.clusters, fresh)
	wire.Reply(w, http.StatusCreated, fresh.toWire())
}

// deleteCluster starts the removal; asking again does not restart it.
func (e *OCM) deleteCluster(w http.ResponseWriter, _ *http.Request, c *cluster) {
	if c.State != "uninstalling" {
		c.State, c.since, c.moves = "uninstalling", e.now(), true
	}
	w.WriteHeader(http.StatusNoContent)
}

func listIngresses(w http.ResponseWriter, r *http.Request, c *cluster) {
	found := []object{}
	if c.State == "ready" && c.DNS != "" {
		found = append(found,
			object{"kind": "Ingress", "id": "b2c3", "default": false, "dns_name": "apps2." + c.DNS, "listening": "internal"},
			object{"kind": "Ingress", "id": "a1b2", "default": true, "dns_name": c.DNS, "listening": "external"})
	}
	wire.List(w, r, "IngressList", found)
}

func (e *OCM) listProviders(w http.ResponseWriter, r *http.Request) {
	display := map[string]string{"aws": "AWS", "gcp": "GCP", "azure": "Azure"}
	found, seen := []object{}, map[string]bool{}
	for _, region := range e.options.Regions {
		if id := region.Provider; !seen[id] {
			seen[id] = true
			found = append(found, object{"kind": "CloudProvider", "id": id, "name": id, "display_name": display[id]})
		}
	}
	wire.List(w, r, "CloudProviderList", found)
}

func (e *OCM) listRegions(w http.ResponseWriter, r *http.Request) {
	provider, found := r.PathValue("provider"), []object{}
	for _, region := range e.options.Regions {
		if region.Provider == provider {
			found = append(found, object{
				"kind": "CloudRegion", "id": region.ID, "name": region.ID, "display_name": region.DisplayName, "enabled": true,
				"supports_multi_az": region.MultiAZ, "ccs_only": false, "cloud_provider": object{"kind": "CloudProviderLink", "id": provider},
			})
		}
	}
	if len(found) == 0 {
		Service.Fail(w, http.StatusNotFound, fmt.Sprintf("Cloud provider '%s' not found", provider))
		return
	}
	wire.List(w, r, "CloudRegionList", found)
}
