package app

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog/cataloghttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster/clusterhttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/docshttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka/kafkahttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/metadatahttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/metricsapi/metricsapihttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/serviceaccounthttp"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/admin"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// publicServer, agentServer and adminServer are the generated interfaces, satisfied by one
// embedded struct per domain: an operation that nobody implements is a compile
// error here and only here.
type publicServer struct {
	*metadatahttp.Public
	*kafkaPublic
	*accountPublic
	*metricsPublic
	*catalogPublic
	*docsPublic
}

type agentServer struct {
	*kafkaAgent
	*clusterAgent
	*docshttp.Agent
}

type adminServer struct {
	*kafkaAdmin
	*docshttp.Admin
}

// The rooms name their structs alike; an embedded field needs a name of its own.
type (
	kafkaAdmin    struct{ *kafkahttp.Admin }
	kafkaPublic   struct{ *kafkahttp.Public }
	kafkaAgent    struct{ *kafkahttp.Agent }
	clusterAgent  struct{ *clusterhttp.Agent }
	accountPublic struct{ *serviceaccounthttp.Public }
	metricsPublic struct{ *metricsapihttp.Public }
	catalogPublic struct{ *cataloghttp.Public }
	docsPublic    struct{ *docshttp.Public }
)

var (
	_ public.StrictServerInterface = publicServer{}
	_ agent.StrictServerInterface  = agentServer{}
	_ admin.StrictServerInterface  = adminServer{}
)

// apiHandler builds the whole API: routes, then the chain around them.
func (a *App) apiHandler(errs *httpx.Errors) (http.Handler, error) {
	router := mux.NewRouter()
	a.routePublic(router, errs)
	if err := a.routeAgent(router, errs); err != nil {
		return nil, err
	}
	a.routeAdmin(router, errs)
	var err error
	if a.routes, err = listRoutes(router); err != nil {
		return nil, err
	}
	actions := map[string]string{}
	for _, rule := range access.Rules() {
		actions[rule.Method+" "+rule.Template] = rule.Action
	}
	limits := httpx.NewLimits(a.config.HTTP.Limits)
	return httpx.NewHandler(httpx.Options{
		Router: router, Errors: errs, Logger: a.logger, Authorize: a.domain.guard.Authorize, Admit: a.domain.guard.Admit,
		Who: func(ctx context.Context) (user, org string) {
			who := access.From(ctx)
			return who.Username, who.OrgID
		},
		Audit:  func(ctx context.Context, done httpx.Done) { access.Audit(ctx, a.logger, access.Served(done)) },
		Limits: limits, Caller: a.callerOf,
		Metrics: httpx.NewMetrics(a.registry, limits), Actions: actions,
		Batches:    []string{"/api/kafkas_mgmt/v1/agent-clusters/{id}/kafkas/status"},
		Bodiless:   bodiless(),
		Timeouts:   a.timeouts(),
		FirstValue: []string{"async", "page", "size", "orderBy", "search", "client_id", "duration", "interval"},
	})
}

// callerOf names who a request counts for: agents by their client, administrators by
// themselves, customers by their organisation.
func (a *App) callerOf(ctx context.Context, method, template string) httpx.Caller {
	who := access.From(ctx)
	if strings.HasPrefix(template, agentPaths) {
		return httpx.Caller{Agent: true, Key: who.ClientID}
	}
	if strings.HasPrefix(template, adminPaths) {
		return httpx.Caller{Admin: true, Key: cmp.Or(who.Subject, who.Username)}
	}
	return httpx.Caller{Key: who.OrgID, Metrics: strings.Contains(template, "/metrics/"), Slow: a.waitsForUpstreams(method, template)}
}

// waitsForUpstreams tells what the named exceptions of the architecture are, save
// for metrics.
func (a *App) waitsForUpstreams(method, template string) bool {
	switch {
	case strings.HasPrefix(template, accountPaths):
		return true
	case method == http.MethodPost && template == orderPath:
		return a.config.Quota.Type == quota.AMSType || a.config.Access.EnableTerms
	}
	return method == http.MethodPatch // a new owner is looked up
}

const (
	agentPaths   = "/api/kafkas_mgmt/v1/agent-clusters/"
	adminPaths   = "/api/kafkas_mgmt/v1/admin/"
	accountPaths = "/api/kafkas_mgmt/v1/service_accounts"
	orderPath    = "/api/kafkas_mgmt/v1/kafkas"
)

// bodiless are the templates whose operations take no body by a method that has one elsewhere.
func bodiless() []string { return []string{accountPaths + "/{id}/reset_credentials"} }

// listRoutes names what a router serves: "GET /path/{id}", or "ANY /path" for a
// route that takes every method.
func listRoutes(router *mux.Router) (routes []string, err error) {
	err = router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		if r.GetHandler() == nil {
			return nil
		}
		template, err := r.GetPathTemplate()
		if err != nil {
			return fmt.Errorf("reading a route's path: %w", err)
		}
		methods, err := r.GetMethods()
		if err != nil { // mux has no other way to say that there are none
			methods = []string{"ANY"}
		}
		for _, method := range methods {
			routes = append(routes, method+" "+template)
		}
		return nil
	})
	return routes, err
}

// timeouts are shorter than usual where only the database is asked, so that one
// which hangs is told before the clients give up; agents wait ten seconds.
func (a *App) timeouts() map[string]time.Duration {
	const v1 = "/api/kafkas_mgmt/v1"
	orders := 6 * time.Second
	if a.waitsForUpstreams(http.MethodPost, orderPath) {
		orders = 25 * time.Second
	}
	return map[string]time.Duration{
		v1 + "/kafkas":                            orders,
		v1 + "/cloud_providers":                   6 * time.Second,
		v1 + "/cloud_providers/{id}/regions":      6 * time.Second,
		v1 + "/kafkas/{id}":                       15 * time.Second, // a new owner is looked up at the accounts service
		v1 + "/admin/kafkas":                      9 * time.Second,  // two of them for account numbers
		v1 + "/admin/kafkas/{id}":                 9 * time.Second,
		v1 + "/agent-clusters/{id}":               6 * time.Second,
		v1 + "/agent-clusters/{id}/status":        6 * time.Second,
		v1 + "/agent-clusters/{id}/kafkas":        9 * time.Second,
		v1 + "/agent-clusters/{id}/kafkas/status": 9 * time.Second,
	}
}

func (a *App) routePublic(router *mux.Router, errs *httpx.Errors) {
	server := publicServer{
		Public:        metadatahttp.New(a.commit),
		kafkaPublic:   &kafkaPublic{kafkahttp.NewPublic(a.domain.kafkas, a.config.Kafka.BrowserURL)},
		accountPublic: &accountPublic{serviceaccounthttp.New(a.domain.accounts, a.config.ServiceAccount.PageSize, a.ssoProvider())},
		metricsPublic: &metricsPublic{metricsapihttp.New(a.domain.metrics)},
		catalogPublic: &catalogPublic{cataloghttp.New(a.domain.market)},
		docsPublic: &docsPublic{docshttp.NewPublic(docshttp.Settings{
			Config: a.config.Docs, BasePath: errs.API.BasePath, Issuer: a.config.Access.TokenIssuer,
		})},
	}
	strict := public.NewStrictHandlerWithOptions(server, nil, public.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: errs.RequestError, ResponseErrorHandlerFunc: errs.ResponseError,
	})
	refuse := func(w http.ResponseWriter, r *http.Request, err error) {
		errs.RequestError(w, r, metricsapihttp.Refusal(err))
	}
	public.HandlerWithOptions(strict, public.GorillaServerOptions{BaseRouter: router, ErrorHandlerFunc: refuse})
}

func (a *App) routeAgent(router *mux.Router, errs *httpx.Errors) error {
	kafkas, err := kafkahttp.NewAgent(a.domain.kafkas, a.domain.clusterStore, a.agentSettings())
	if err != nil {
		return err
	}
	server := agentServer{
		kafkaAgent:   &kafkaAgent{kafkas},
		clusterAgent: &clusterAgent{clusterhttp.NewAgent(a.domain.clusters)},
		Agent:        docshttp.NewAgent(),
	}
	strict := agent.NewStrictHandlerWithOptions(server, nil, agent.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: errs.RequestError, ResponseErrorHandlerFunc: errs.ResponseError,
	})
	agent.HandlerWithOptions(kafkahttp.QuickReports(strict, kafkas, errs), agent.GorillaServerOptions{BaseRouter: router, ErrorHandlerFunc: errs.RequestError})
	return nil
}

func (a *App) routeAdmin(router *mux.Router, errs *httpx.Errors) {
	server := adminServer{kafkaAdmin: &kafkaAdmin{kafkahttp.NewAdmin(a.domain.kafkas)}, Admin: docshttp.NewAdmin()}
	strict := admin.NewStrictHandlerWithOptions(server, nil, admin.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: errs.RequestError, ResponseErrorHandlerFunc: errs.ResponseError,
	})
	admin.HandlerWithOptions(strict, admin.GorillaServerOptions{BaseRouter: router, ErrorHandlerFunc: errs.RequestError})
}

func (a *App) ssoProvider() serviceaccounthttp.SSO {
	realm := a.config.SSO.Realm()
	return serviceaccounthttp.SSO{
		Name: a.config.SSO.Provider, BaseURL: realm.BaseURL, TokenURL: realm.TokenURL(), JWKSURL: realm.CertsURL(), Issuer: realm.Issuer(),
	}
}

// agentSettings is what every instance is told of the SSO and of its owners.
func (a *App) agentSettings() kafkahttp.AgentSettings {
	realm, k := a.config.SSO.Realm(), a.config.Kafka
	return kafkahttp.AgentSettings{
		Build: a.commit, Auth: k.EnableAuth, TokenURL: realm.TokenURL(), JWKSURL: realm.CertsURL(), Issuer: realm.Issuer(),
		UserNameClaim: k.UserNameClaim, FallbackUserClaim: k.FallbackUserClaim, TLSTrustedCert: a.domain.ssoCertificate,
		FurtherOwners: a.domain.furtherOwners, MaxSessionLifetime: kafka.SessionLifetime,
		CanariesByID: a.config.SSO.Provider == config.RedHatSSO,
	}
}
