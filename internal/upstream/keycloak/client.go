package keycloak

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/Nerzal/gocloak/v13"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// pageSize is how many clients one list call asks for.
const pageSize = 200

// Client is an OIDC client of the realm.
type Client struct {
	ID          string // the realm's own id
	ClientID    string
	Name        string
	Description string
	Secret      log.Secret // only where the text says so
	Attributes  map[string]string
}

// Query says which clients to list. Empty fields do not restrict.
type Query struct {
	Attribute string // name of a client attribute …
	Value     string // … and its value
	Prefix    string // of the client id
	First     int    // how many of those that fit to skip
	Max       int    // how many to give; 0: all
}

// Find looks a client up by its client id.
func (a *Admin) Find(ctx context.Context, clientID string) (Client, error) {
	found, err := a.find(ctx, clientID)
	if err != nil {
		return Client{}, err
	}
	return clientOf(found), nil
}

func (a *Admin) find(ctx context.Context, clientID string) (*gocloak.Client, error) {
	all, err := call(ctx, a, StepFind, func(ctx context.Context, token string) ([]*gocloak.Client, error) {
		return a.sdk.GetClients(ctx, token, a.realm.Name, gocloak.GetClientsParams{ClientID: &clientID})
	})
	if errors.Is(err, ErrNotFound) { // the list itself, which tells nothing of what is on it
		return nil, fmt.Errorf("%w: %w: there is no list", StepFind, ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one != nil && gocloak.PString(one.ClientID) == clientID && gocloak.PString(one.ID) != "" {
			return one, usable(StepFind, *one.ID)
		}
	}
	return nil, fmt.Errorf("finding the SSO client %s: %w", clientID, ErrNotFound)
}

// Get reads a client by the realm's own id.
func (a *Admin) Get(ctx context.Context, id string) (Client, error) {
	if id == "" {
		return Client{}, fmt.Errorf("reading an SSO client: %w", ErrNotFound) // else it would read the list
	}
	found, err := call(ctx, a, "reading an SSO client", func(ctx context.Context, token string) (*gocloak.Client, error) {
		return a.sdk.GetClient(ctx, token, a.realm.Name, url.PathEscape(id))
	})
	if err != nil {
		return Client{}, err
	}
	if gocloak.PString(found.ID) != id {
		return Client{}, fmt.Errorf("reading an SSO client: %w: another client came back", ErrUnavailable)
	}
	return clientOf(found), nil
}

// List gives the clients that fit, in the realm's order (by client id). Clients
// that come or go meanwhile may be missed.
func (a *Admin) List(ctx context.Context, q Query) ([]Client, error) {
	all, err := a.all(ctx, q)
	if err != nil {
		return nil, err
	}
	first := min(max(q.First, 0), len(all))
	last := len(all)
	if q.Max > 0 {
		last = min(first+q.Max, last)
	}
	return all[first:last], nil
}

// Count says how many clients fit; First and Max do not matter.
func (a *Admin) Count(ctx context.Context, q Query) (int, error) {
	all, err := a.all(ctx, q)
	return len(all), err
}

// all reads every page, because the server cannot look for an attribute and a
// prefix together: its pages would be short after the filtering here. The
// attribute is compared again: a server too old for such a search leaves it out,
// and would show one organisation the clients of all.
func (a *Admin) all(ctx context.Context, q Query) ([]Client, error) {
	found := []Client{}
	seen := map[string]bool{}
	for {
		page, err := a.page(ctx, q, len(seen))
		if err != nil {
			return nil, err
		}
		before := len(seen)
		for _, one := range page {
			c := clientOf(one)
			if seen[c.ID] {
				continue
			}
			seen[c.ID] = true
			if !strings.HasPrefix(c.ClientID, q.Prefix) || q.Attribute != "" && c.Attributes[q.Attribute] != q.Value {
				continue
			}
			if err := usable(StepList, c.ID); err != nil {
				return nil, err
			}
			found = append(found, c)
		}
		if len(page) < pageSize || len(seen) == before {
			return found, nil
		}
	}
}

func (a *Admin) page(ctx context.Context, q Query, first int) ([]*gocloak.Client, error) {
	params := gocloak.GetClientsParams{First: gocloak.IntP(first), Max: gocloak.IntP(pageSize)}
	switch {
	case q.Attribute != "":
		if strings.ContainsAny(q.Attribute+q.Value, `"\`) {
			return nil, errors.New("listing SSO clients: a quote in a search by attribute")
		}
		params.SearchableAttributes = gocloak.StringP(fmt.Sprintf(`"%s":"%s"`, q.Attribute, q.Value))
	case q.Prefix != "":
		params.ClientID, params.Search = &q.Prefix, gocloak.BoolP(true)
	}
	return call(ctx, a, StepList, func(ctx context.Context, token string) ([]*gocloak.Client, error) {
		return a.sdk.GetClients(ctx, token, a.realm.Name, params)
	})
}

// Delete removes a client by its client id and says whether there was one.
func (a *Admin) Delete(ctx context.Context, clientID string) (existed bool, err error) {
	found, err := a.find(ctx, clientID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if existed, err = a.DeleteByID(ctx, gocloak.PString(found.ID)); existed || err != nil {
		return existed, err
	}
	// Shown, and not there: somebody else was faster, or one of both answers is wrong.
	switch _, err = a.find(ctx, clientID); {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, fmt.Errorf("deleting the SSO client %s: %w: it is shown, and not found", clientID, ErrUnavailable)
}

// DeleteByID removes a client by the realm's own id and says whether there was one.
func (a *Admin) DeleteByID(ctx context.Context, id string) (existed bool, err error) {
	if id == "" {
		return false, nil
	}
	_, err = call(ctx, a, "deleting an SSO client", func(ctx context.Context, token string) (struct{}, error) {
		return struct{}{}, a.sdk.DeleteClient(ctx, token, a.realm.Name, url.PathEscape(id))
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Secret reads the client's secret.
func (a *Admin) Secret(ctx context.Context, id string) (log.Secret, error) {
	return a.credential(ctx, StepSecret, id, a.sdk.GetClientSecret)
}

// Regenerate replaces the client's secret and gives the new one. The old one ends at once.
func (a *Admin) Regenerate(ctx context.Context, id string) (log.Secret, error) {
	return a.credential(ctx, "replacing the secret of an SSO client", id, a.sdk.RegenerateClientSecret)
}

func (a *Admin) credential(ctx context.Context, doing Step, id string,
	ask func(ctx context.Context, token, realm, id string) (*gocloak.CredentialRepresentation, error),
) (log.Secret, error) {
	if id == "" {
		return "", fmt.Errorf("%w: %w", doing, ErrNotFound)
	}
	reply, err := call(ctx, a, doing, func(ctx context.Context, token string) (*gocloak.CredentialRepresentation, error) {
		return ask(ctx, token, a.realm.Name, url.PathEscape(id))
	})
	if err != nil {
		return "", err
	}
	if gocloak.PString(reply.Value) == "" {
		return "", fmt.Errorf("%w: %w: the reply has none", doing, ErrUnavailable)
	}
	if !secretShape.MatchString(*reply.Value) {
		return "", fmt.Errorf("%w: %w: the reply has none that can be used", doing, ErrUnavailable)
	}
	return log.Secret(*reply.Value), nil
}

// secretShape is what a secret may consist of: what fits into a header, a form and a property file.
var secretShape = regexp.MustCompile(`^[!-~]{1,512}$`)

// idShape is what the realm's own ids may be: UUIDs, or what an import gave in
// their place, which has a column of 36 characters. An id becomes part of paths, of
// rows and of what customers see.
var idShape = regexp.MustCompile(`^[0-9A-Za-z_-]{1,36}$`)

func usable(doing Step, id string) error {
	if !idShape.MatchString(id) {
		return fmt.Errorf("%w: %w: the reply has an id that cannot be one", doing, ErrUnavailable)
	}
	return nil
}

func clientOf(c *gocloak.Client) Client {
	out := Client{Attributes: map[string]string{}}
	if c == nil {
		return out
	}
	out.ID, out.ClientID = gocloak.PString(c.ID), gocloak.PString(c.ClientID)
	out.Name, out.Description = gocloak.PString(c.Name), gocloak.PString(c.Description)
	if c.Attributes != nil {
		out.Attributes = *c.Attributes
	}
	return out
}
