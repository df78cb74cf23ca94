// Package access decides who is calling and whether they may call a route.
//
// It is for verifying bearer tokens, for the one table of audience by route, for
// the deny and access lists, and for writing down what administrators ask. It is not for rights on single objects: whether
// a caller may see or change a given Kafka is a rule of that object's domain.
// Invariant: a token counts only when a key of its own issuer signed it, and a
// route without a line in the table is refused.
package access

import (
	"context"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Identity is the verified caller of a request.
type Identity struct {
	Issuer    string
	Username  string // owner name of what the caller creates
	OrgID     string
	AccountID string
	ClientID  string // service accounts and agents
	OrgAdmin  bool
	Subject   string   // the issuer's own id of the caller, which stays when the name changes
	Roles     []string // of the caller's realm; they count for administrators only
}

type identityKey struct{}

// With gives a context that carries the caller.
func With(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// From gives the caller, the zero Identity when there is none.
func From(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey{}).(Identity)
	return id
}

type tokenKey struct{}

// WithToken gives a context that carries the token of the request.
func WithToken(ctx context.Context, token log.Secret) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// TokenFrom gives the verified token of the request, for calls in the caller's own
// name. It is empty where no customer is calling.
func TokenFrom(ctx context.Context) log.Secret {
	token, _ := ctx.Value(tokenKey{}).(log.Secret)
	return token
}
