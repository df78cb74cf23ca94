package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	mechanismPlain  = "PLAIN"
	mechanismBearer = "OAUTHBEARER"
	insideUser      = "authenticated"
	loginDeadline   = 10 * time.Second
)

// gate decides who may talk to an instance. The cluster only knows users of its start, so it
// gets a single one with a random password: the gate checks what a client sent and then puts
// that user in its place, which leaves the cluster's own SASL states in charge.
type gate struct {
	oauth    OAuth
	check    claimCheck
	keys     *keySet
	canaries []Credential
	inside   string // password of the inside user
	log      *slog.Logger
}

// newGate gives nil for an instance without authentication.
func newGate(spec Spec) (*gate, error) {
	if spec.OAuth == nil {
		return nil, nil
	}
	check, err := parseClaimCheck(spec.OAuth.ClaimCheck)
	if err != nil {
		return nil, err
	}
	return &gate{
		oauth:    *spec.OAuth,
		check:    check,
		keys:     newKeySet(spec.OAuth.JWKSURL),
		canaries: spec.Canaries,
		inside:   rand.Text(),
		log:      spec.Logger.With("kafka_id", spec.ID),
	}, nil
}

func (g *gate) options() []kfake.Opt {
	opts := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(mechanismPlain, insideUser, g.inside)}
	if g.oauth.MaxSession > 0 {
		opts = append(opts, kfake.BrokerConfigs(map[string]string{
			"connections.max.reauth.ms": strconv.FormatInt(g.oauth.MaxSession.Milliseconds(), 10),
		}))
	}
	return opts
}

// guard puts the gate in front of the cluster's SASL handlers until ctx ends.
func (g *gate) guard(ctx context.Context, cluster *kfake.Cluster) {
	cluster.ControlKey(kmsg.SASLHandshake.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req, ok := r.(*kmsg.SASLHandshakeRequest)
		if !ok || req.Mechanism == mechanismPlain {
			return nil, nil, false
		}
		if req.Mechanism == mechanismBearer {
			req.Mechanism = mechanismPlain
			return nil, nil, false
		}
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.SetVersion(req.GetVersion())
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		resp.SupportedMechanisms = []string{mechanismPlain, mechanismBearer}
		return resp, nil, true
	})
	cluster.ControlKey(kmsg.SASLAuthenticate.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req, ok := r.(*kmsg.SASLAuthenticateRequest)
		if !ok {
			return nil, nil, false
		}
		var admitted bool
		// The cluster serves all connections from one loop; sleeping lets it go on
		// while the identity provider is asked.
		cluster.SleepControl(func() { admitted = g.lets(ctx, req.SASLAuthBytes) })
		if !admitted {
			resp := kmsg.NewPtrSASLAuthenticateResponse()
			resp.SetVersion(req.GetVersion())
			resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
			resp.ErrorMessage = kmsg.StringPtr("authentication failed: invalid credentials")
			return resp, nil, true
		}
		req.SASLAuthBytes = []byte("\x00" + insideUser + "\x00" + g.inside)
		return nil, nil, false
	})
}

// lets says whether a login is good. The client learns no more than that.
func (g *gate) lets(ctx context.Context, login []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, loginDeadline)
	defer cancel()
	principal, err := g.admit(ctx, login)
	if err != nil {
		g.log.Info("kafka client refused", "error", err)
		return false
	}
	g.log.Debug("kafka client admitted", "principal", principal)
	return true
}

// admit gives the principal behind the bytes of a PLAIN or OAUTHBEARER login.
func (g *gate) admit(ctx context.Context, login []byte) (string, error) {
	if bytes.HasPrefix(login, []byte("n,")) {
		token, err := bearer(login)
		if err != nil {
			return "", err
		}
		return g.principal(ctx, token)
	}
	parts := strings.SplitN(string(login), "\x00", 3)
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return "", errors.New("reading login: not a PLAIN message")
	}
	id, secret := parts[1], log.Secret(parts[2])
	for _, c := range g.canaries {
		if c.ClientID != id || c.Secret == "" {
			continue
		}
		if subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) == 1 {
			return id, nil
		}
	}
	token, err := g.keys.grant(ctx, g.oauth.TokenURL, id, secret)
	if err != nil {
		return "", fmt.Errorf("asking for token: %w", err)
	}
	return g.principal(ctx, token)
}

// principal checks a token and names its owner.
func (g *gate) principal(ctx context.Context, token log.Secret) (string, error) {
	claims, err := g.keys.verify(ctx, token, g.oauth.Issuer)
	if err != nil {
		return "", fmt.Errorf("verifying token: %w", err)
	}
	if !g.check.accepts(claims) {
		return "", errors.New("checking claims: not of this instance")
	}
	for _, name := range []string{g.oauth.UserNameClaim, g.oauth.FallbackUserNameClaim} {
		if user, ok := claims[name].(string); ok && user != "" {
			return user, nil
		}
	}
	return "", errors.New("checking claims: no user name")
}

// bearer takes the token out of an OAUTHBEARER message (RFC 7628).
func bearer(login []byte) (log.Secret, error) {
	for field := range strings.SplitSeq(string(login), "\x01") {
		if token, ok := strings.CutPrefix(field, "auth=Bearer "); ok && token != "" {
			return log.Secret(token), nil
		}
	}
	return "", errors.New("reading login: not an OAUTHBEARER message")
}
