package access

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// claims is the content of a token. Values stay raw until somebody says which
// type they must have: a claim of another type refuses the token, and never panics.
type claims struct {
	values map[string]json.RawMessage
	now    time.Time
}

// UnmarshalJSON keeps the names exactly: decoding into fields would take ISS for iss.
func (c *claims) UnmarshalJSON(raw []byte) error { return json.Unmarshal(raw, &c.values) }

// Valid is called once the signature is known to be good. There is no tolerance of clocks.
func (c *claims) Valid() error {
	now := float64(c.now.UnixMicro()) / 1e6
	expires, hasExpires, okExpires := c.number("exp")
	issued, hasIssued, okIssued := c.number("iat")
	begins, hasBegins, okBegins := c.number("nbf")
	switch {
	case hasExpires && okExpires && now >= expires:
		return unauthenticated("Bearer token is expired")
	case hasIssued && okIssued && now < issued:
		return unauthenticated("Bearer token was issued in the future")
	case hasBegins && (!okBegins || now < begins):
		return unauthenticated("Bearer token isn't valid yet")
	}
	if err := c.checkKind(); err != nil {
		return err
	}
	switch {
	case !hasIssued:
		return unauthenticated("Bearer token doesn't contain required claim 'iat'")
	case !okIssued:
		return illTyped("iat")
	case !hasExpires:
		return unauthenticated("Bearer token doesn't contain required claim 'exp'")
	case !okExpires:
		return illTyped("exp")
	}
	return c.checkImpersonation()
}

// checkKind lets only access tokens in: offline, refresh and id tokens carry the same signature.
func (c *claims) checkKind() error {
	raw, present := c.values["typ"]
	if !present {
		return nil
	}
	var kind *string
	if json.Unmarshal(raw, &kind) != nil || kind == nil {
		return illTyped("typ")
	}
	if !strings.EqualFold(*kind, "Bearer") {
		return apierr.Newf(apierr.Unauthenticated, "Bearer token type '%s' isn't allowed", *kind)
	}
	return nil
}

func (c *claims) checkImpersonation() error {
	raw, present := c.values["impersonated"]
	if !present {
		return nil
	}
	var impersonated *bool
	if json.Unmarshal(raw, &impersonated) != nil || impersonated == nil {
		return illTyped("impersonated")
	}
	if *impersonated {
		return unauthenticated("Impersonation isn't allowed")
	}
	return nil
}

// value gives a claim that is there; null counts as absent.
func (c *claims) value(name string) (json.RawMessage, bool) {
	raw, ok := c.values[name]
	return raw, ok && string(raw) != "null"
}

func (c *claims) number(name string) (value float64, present, ok bool) {
	raw, present := c.value(name)
	return value, present, present && json.Unmarshal(raw, &value) == nil
}

func (c *claims) flag(name string) (bool, error) {
	raw, present := c.value(name)
	if !present {
		return false, nil
	}
	var value bool
	if json.Unmarshal(raw, &value) != nil {
		return false, illTyped(name)
	}
	return value, nil
}

// text gives the first of the claims that is there.
func (c *claims) text(names ...string) (string, error) {
	for _, name := range names {
		raw, present := c.value(name)
		if !present {
			continue
		}
		var value string
		// The database takes no NUL: such a text would fail later, as if it were our fault.
		if json.Unmarshal(raw, &value) != nil || strings.ContainsRune(value, 0) {
			return "", illTyped(name)
		}
		return value, nil
	}
	return "", nil
}

var digits = regexp.MustCompile(`^[0-9]{1,32}$`)

// id is text, but takes numbers too, as they are written: some issuers emit ids so.
func (c *claims) id(names ...string) (string, error) {
	for _, name := range names {
		if raw, present := c.value(name); present {
			if digits.Match(raw) {
				return string(raw), nil
			}
			return c.text(name)
		}
	}
	return "", nil
}

// audiences gives the claim aud, which is a text or a list of texts.
func (c *claims) audiences() ([]string, error) {
	raw, present := c.value("aud")
	if !present {
		return nil, nil
	}
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		return many, nil
	}
	one, err := c.text("aud")
	return []string{one}, err
}

// identity reads who the caller is.
func (c *claims) identity(names ClaimNames) (id Identity, err error) {
	for _, read := range []func() error{
		func() error { id.Issuer, err = c.text("iss"); return err },
		func() error { id.Username, err = c.text(names.Username, names.AlternateUsername); return err },
		func() error { id.OrgID, err = c.id(names.OrgID, names.AlternateOrgID); return err },
		func() error { id.AccountID, err = c.id(names.AccountID); return err },
		func() error { id.ClientID, err = c.text(names.ClientID...); return err },
		func() error { id.OrgAdmin, err = c.flag(names.OrgAdmin); return err },
		func() error { id.Subject, _ = c.id("sub"); return nil }, // nothing is decided by it
		func() error { id.Roles = c.roles(); return nil },
	} {
		if err := read(); err != nil {
			return Identity{}, err
		}
	}
	return id, nil
}

// roles gives those of the realm. A claim of another shape gives none, and refuses
// nobody: most callers need no role.
func (c *claims) roles() []string {
	var access map[string]json.RawMessage
	raw, _ := c.value("realm_access")
	if json.Unmarshal(raw, &access) != nil {
		return nil
	}
	var roles []string
	if json.Unmarshal(access["roles"], &roles) != nil {
		return nil
	}
	return roles
}

// meant tells whether a token is for one of the audiences; no audiences: for all.
func meant(tokens, wanted []string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(tokens, func(a string) bool { return slices.Contains(wanted, a) })
}

func unauthenticated(reason string) error { return apierr.New(apierr.Unauthenticated, reason) }

// illTyped names the claim but not its value, which could hold anything.
func illTyped(name string) error {
	return apierr.Newf(apierr.Unauthenticated, "Bearer token claim '%s' has a value of the wrong type", name)
}
