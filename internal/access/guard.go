package access

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	termsMemory  = 5 * time.Minute
	termsInCache = 4096
)

// Surroundings is what the guard needs from the rest of the process.
type Surroundings struct {
	SSO Issuer // of service accounts, agents among them
	// ClientOf gives the client id of a cluster's agent by the cluster's public id, "" for none.
	ClientOf func(ctx context.Context, clusterID string) (string, error)
	// Terms asks whether a user has accepted the terms, and where that is done.
	Terms  func(ctx context.Context, username string) (accepted bool, redirect string, err error)
	Clock  clock.Clock
	Logger *slog.Logger
}

// Guard stands before all routes.
type Guard struct {
	config   Config
	around   Surroundings
	tokens   *verifier
	sets     []*keySet
	denied   *configfile.Live[list]
	allowed  *configfile.Live[list]
	backup   *configfile.Live[keyMap]
	accepted *recent[string, time.Time] // when a user's acceptance was heard
}

// New reads the files. Keys are downloaded by Run, or when a token first needs them.
func New(c Config, around Surroundings) (*Guard, error) { return build(c, around, usualPace()) }

func build(c Config, around Surroundings, p pace) (*Guard, error) {
	g := &Guard{config: c, around: around, accepted: newRecent[string, time.Time](termsInCache)}
	g.tokens = &verifier{
		issuers: map[string]*keySet{}, names: c.Claims, now: around.Clock,
		seen: newRecent[[sha256.Size]byte, caller](tokensInCache),
	}
	issuers := []Issuer{c.users(), around.SSO}
	if c.AdminBaseURL != "" {
		issuers = append(issuers, c.admins())
	}
	client := keysClient(c.InsecureKeys)
	for _, issuer := range issuers {
		if err := issuer.check(c.AllowPlainKeys); err != nil {
			return nil, fmt.Errorf("setting up issuer %q: %w", issuer.URL, err)
		}
		// One realm may play two parts; then both must agree on its keys.
		if same := g.tokens.issuers[issuer.URL]; same != nil {
			if same.url != issuer.KeysURL {
				return nil, fmt.Errorf("setting up issuer %q: its keys are said to be at both %q and %q", issuer.URL, same.url, issuer.KeysURL)
			}
			continue
		}
		set := newKeySet(issuer, client, p, around.Logger)
		g.tokens.issuers[issuer.URL] = set
		g.sets = append(g.sets, set)
	}
	if err := g.readFiles(); err != nil {
		return nil, err
	}
	g.sets[0].backup = g.backup
	return g, nil
}

func (g *Guard) readFiles() error {
	var keysErr, denyErr, accessErr error
	g.backup, keysErr = configfile.NewLive(configfile.Source[keyMap]{
		Path: g.config.KeysFile, Logger: g.around.Logger,
		Fallback: configfile.Fallback{Path: defaultKeysFile, Content: []byte(`{"keys":[]}`)},
		Parse:    parseKeysFile,
	})
	g.denied, denyErr = readList(g.config.EnableDenyList, g.config.DenyListFile, defaultDenyFile, g.around.Logger)
	g.allowed, accessErr = readList(g.config.EnableAccessList, g.config.AccessListFile, defaultAccessFile, g.around.Logger)
	return errors.Join(about("jwks-file", keysErr), about("deny-list-config-file", denyErr), about("access-list-config-file", accessErr))
}

// keysClient follows no redirects: whoever answers for an issuer must not send us
// elsewhere. It keeps no connections: on a stale one the transport would ask twice.
func keysClient(insecure bool) *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: maxKeysBody,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}, //nolint:gosec // an operator's flag
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Run keeps keys and lists fresh until the context ends. It may run once.
func (g *Guard) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, set := range g.sets {
		running.Go(func() { set.run(ctx) })
	}
	running.Go(func() { g.backup.Run(ctx) })
	running.Go(func() { g.denied.Run(ctx) })
	running.Go(func() { g.allowed.Run(ctx) })
	running.Wait()
}

// KeysLoaded tells whether customers can be told apart. Only their issuer counts:
// the outage of another one must not take the API from everybody.
func (g *Guard) KeysLoaded() bool { return g.sets[0].loaded() }

// Authorize checks the caller of a request against the route that it matched, and
// gives the context with the caller. An empty template means that no route
// matched: the caller must be somebody before the router tells what exists.
func (g *Guard) Authorize(r *http.Request, template string) (context.Context, error) {
	ctx := r.Context()
	rule, known := RuleFor(r.Method, template)
	if known && rule.Audience == Public || template == "" && public(r.URL.Path) {
		return ctx, nil
	}
	token, err := bearer(r, g.config.CookieAuth)
	if err != nil {
		return ctx, err
	}
	who, err := g.tokens.verify(ctx, token)
	if err != nil {
		return ctx, err
	}
	ctx = With(ctx, who.Identity)
	switch {
	case template == "":
		return ctx, nil
	case !known:
		return ctx, notFound()
	case rule.Audience == Agent:
		return ctx, g.admitAgent(ctx, who, variable(template, r.URL.Path))
	case rule.Audience == Admin:
		return ctx, g.admitAdmin(who, rule)
	default:
		return WithToken(ctx, log.Secret(token)), g.admitUser(who, rule)
	}
}

func (g *Guard) admitUser(who caller, rule Rule) error {
	switch {
	case !g.issuedFor(rule, who.Issuer), !g.meantForUs(who), who.OrgID == "", who.Username == "":
		return unauthenticated("")
	case g.Denied(who.Username):
		return apierr.Newf(apierr.Forbidden, "User '%s' is not permitted to use the service", who.Username)
	case g.config.EnableAccessList && !g.allowed.Get()[who.OrgID]:
		return apierr.New(apierr.UnderMaintenance, "")
	}
	return nil
}

// admitAdmin takes nobody without a name: what administrators do is written down.
// All refusals are alike, and like a path that does not exist.
func (g *Guard) admitAdmin(who caller, rule Rule) error {
	if g.config.AdminBaseURL == "" || who.Issuer != g.config.admins().URL || !who.hasAny(rule.Roles) || who.Username == "" && who.Subject == "" {
		return notFound()
	}
	return nil
}

// hasAny tells whether the caller has one of the roles.
func (id Identity) hasAny(roles []string) bool {
	return slices.ContainsFunc(id.Roles, func(have string) bool {
		return slices.ContainsFunc(roles, func(wanted string) bool { return strings.EqualFold(have, wanted) })
	})
}

// Admit asks what takes a remote call to find out: whether the caller that
// Authorize put into the context has accepted the terms. Ask it when the caller has
// its turn, since every call may take long.
func (g *Guard) Admit(ctx context.Context, method, template string) error {
	if rule, known := RuleFor(method, template); known && rule.Terms && g.config.EnableTerms {
		return g.askTerms(ctx, From(ctx).Username)
	}
	return nil
}

// Denied tells whether a user is on the list of those who may not use the service.
func (g *Guard) Denied(username string) bool { return g.denied.Get()[username] }

// issuedFor tells whether tokens of an issuer may open a route for customers. The
// realm of service accounts writes the organisation into their tokens; agents have
// none there.
func (g *Guard) issuedFor(rule Rule, issuer string) bool {
	return issuer == g.config.TokenIssuer || rule.Audience == Reader && issuer == g.around.SSO.URL
}

// meantForUs tells whether the audiences of a token let a customer in. Those that are
// wanted are of the customers' issuer; a realm of service accounts writes its own.
func (g *Guard) meantForUs(who caller) bool {
	return who.Issuer != g.config.TokenIssuer || meant(who.audiences, g.config.UserAudiences)
}

// askTerms remembers acceptance only: who has just accepted must not be refused
// for minutes more.
func (g *Guard) askTerms(ctx context.Context, username string) error {
	now := g.around.Clock()
	if heard, ok := g.accepted.get(username); ok && now.Sub(heard) < termsMemory {
		return nil
	}
	accepted, redirect, err := g.around.Terms(ctx, username)
	if err != nil {
		return apierr.Wrap(apierr.General, fmt.Errorf("asking for terms acceptance: %w", err), "")
	}
	if accepted {
		g.accepted.put(username, now)
		return nil
	}
	if target, err := url.Parse(redirect); err != nil || target.Scheme != "https" {
		return apierr.New(apierr.TermsNotAccepted, "")
	}
	return apierr.New(apierr.TermsNotAccepted, apierr.TermsNotAccepted.Entry().Reason+", accept them at "+redirect)
}

// admitAgent looks at the token before it spends a query. All refusals are alike,
// so that nobody can probe which clusters exist.
func (g *Guard) admitAgent(ctx context.Context, who caller, clusterID string) error {
	if clusterID == "" || who.ClientID == "" || who.Issuer != g.around.SSO.URL || !meant(who.audiences, g.config.AgentAudiences) {
		return notFound()
	}
	client, err := g.around.ClientOf(ctx, clusterID)
	switch {
	case apierr.Is(err, apierr.NotFound):
		return notFound()
	case err != nil:
		return apierr.Wrap(apierr.General, fmt.Errorf("looking up the agent of a cluster: %w", err), "")
	case client != who.ClientID: // an unknown cluster has no client and so equals nobody
		return notFound()
	}
	return nil
}
