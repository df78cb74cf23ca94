package sdk

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Tokens is what the SSO's token endpoint gives.
type Tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token,omitempty"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
}

// SSO is a realm as the programs reach it.
type SSO struct {
	// URL of the realm. The path that programs use for tokens is always
	// /auth/realms/{realm}, whatever path this has.
	URL  string
	HTTP *http.Client
}

// connect gives the URL of one of the realm's endpoints as the programs' library makes it.
func (s SSO) connect(endpoint string) (string, error) {
	at, err := url.Parse(s.URL)
	if err != nil {
		return "", err
	}
	_, realm, found := strings.Cut(at.Path, "realms/")
	if !found {
		return "", fmt.Errorf("%s names no realm", s.URL)
	}
	return at.Scheme + "://" + at.Host + "/auth/realms/" + realm + "/protocol/openid-connect/" + endpoint, nil
}

// Grant asks for tokens; pairs are fields of the form.
func (s SSO) Grant(ctx context.Context, pairs ...string) (out Tokens, err error) {
	reply, err := s.post(ctx, "token", values(pairs))
	if err != nil {
		return out, err
	}
	if reply.Status != http.StatusOK {
		return out, &Error{Text: http.StatusText(reply.Status), Body: reply.Body, Code: reply.Status}
	}
	if err := decode(reply.Header.Get("Content-Type"), reply.Body, &out); err != nil {
		return out, err
	}
	if !strings.EqualFold(out.Type, "Bearer") || out.ExpiresIn <= 0 {
		return out, fmt.Errorf("a token of type %q for %d seconds", out.Type, out.ExpiresIn)
	}
	return out, nil
}

// Logout ends the session of a refresh token.
func (s SSO) Logout(ctx context.Context, clientID, refresh string) error {
	reply, err := s.post(ctx, "logout", url.Values{"client_id": {clientID}, "refresh_token": {refresh}})
	if err == nil && reply.Status != http.StatusNoContent {
		err = &Error{Text: http.StatusText(reply.Status), Body: reply.Body, Code: reply.Status}
	}
	return err
}

func (s SSO) post(ctx context.Context, endpoint string, form url.Values) (Reply, error) {
	address, err := s.connect(endpoint)
	if err != nil {
		return Reply{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return Reply{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(s.HTTP, request)
}

// Claims reads a token without verifying it, as programs do: three parts, and a time
// of expiry that is a number if there is one.
func Claims(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a token has %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("reading a token: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		return nil, fmt.Errorf("reading a token: %w", err)
	}
	if expiry, there := claims["exp"]; there {
		if _, number := expiry.(float64); !number {
			return nil, fmt.Errorf("a token's time of expiry is %v", expiry)
		}
	}
	return claims, nil
}
