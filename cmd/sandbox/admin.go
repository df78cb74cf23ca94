package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/gateway"
)

const adminIndex = `The sandbox's own routes. SERVICE is one of sso, ocm, ams, route53, observatorium.

GET    /SERVICE/state     what the service holds
GET    /SERVICE/journal   the calls it got; DELETE empties it
GET    /SERVICE/faults    what is wrong with it; DELETE makes it well
POST   /SERVICE/faults    {"method":"POST","path":"/token$","mode":"after","status":503,"times":2}
                          modes: before, after, reset-before, reset-after, hang, hang-after, slow, twice, garbage
                          further: "delay":"2s", "retry_after":1, "probability":0.5, "seed":1
PATCH  /ams/accounts/NAME     {"banned":false} {"terms_required":false}: what accounts management knows of a person
PATCH  /ams/organisations/ID  {"quota":[{"product":"RHOSAK","billing_model":"marketplace","allowed":5}]}
                              {"cloud_accounts":[{"id":"123456789012","provider":"aws"}]}: what it lets an organisation use
GET    /agents            the agents and how they behave
POST   /agents/CLUSTER/mode  {"fate":"error","ids":["KAFKA"]} {"manner":"silent"} {} (well-behaved again)
                          fates: never-ready, error, rejected, rejected-full
                          manners: silent, stale, duplicate, foreign, contradictory, huge
GET    /resolve?host=HOST what the DNS records of the Route 53 emulator say, and the address to connect to
`

// admin serves the management routes of all parts.
func admin(u *upstreams, d *dataPlane) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprint(w, adminIndex)
	})
	for _, e := range []*emulator.Emulated{u.ssoCalls, u.ocmCalls, u.amsCalls, u.dnsCalls, u.metricsCalls} {
		mux.Handle("/"+e.Name()+"/", http.StripPrefix("/"+e.Name(), e.Admin()))
	}
	changes := http.StripPrefix("/"+u.amsCalls.Name(), u.AMS.Changes())
	mux.Handle("PATCH /"+u.amsCalls.Name()+"/", changes)
	mux.HandleFunc("GET /agents", func(w http.ResponseWriter, _ *http.Request) { show(w, d.conducts()) })
	mux.HandleFunc("POST /agents/{cluster}/mode", d.setMode)
	mux.HandleFunc("GET /resolve", func(w http.ResponseWriter, r *http.Request) { resolve(w, r, u, d) })
	return mux
}

func (d *dataPlane) setMode(w http.ResponseWriter, r *http.Request) {
	var wanted conduct
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&wanted)
	if err == nil {
		err = wanted.check()
	}
	switch {
	case err != nil:
		gateway.Refuse(w, http.StatusBadRequest, err.Error())
	case !d.behave(r.PathValue("cluster"), wanted):
		gateway.Refuse(w, http.StatusNotFound, "that cluster has no agent here")
	default:
		show(w, wanted)
	}
}

// resolution is an answer of /resolve. Address has the port to connect to: in the
// sandbox the routers cannot have port 443.
type resolution struct {
	Host    string `json:"host"`
	IP      string `json:"ip"`
	Address string `json:"address"`
}

func resolve(w http.ResponseWriter, r *http.Request, u *upstreams, d *dataPlane) {
	host := r.URL.Query().Get("host")
	ip, ok := u.Route53.Lookup(host)
	if !ok {
		gateway.Refuse(w, http.StatusNotFound, "no such host: "+host)
		return
	}
	_, port, _ := strings.Cut(d.router.Addr(), ":")
	show(w, resolution{Host: host, IP: ip, Address: ip + ":" + port})
}

func show(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}
