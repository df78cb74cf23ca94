package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// direct is where the SSO itself serves service accounts, below its own URL or an
// origin that stands for it.
const direct = "/apis/service_accounts/v1"

// Account is a service account as the SSO shows it.
type Account struct {
	ID          string `json:"id"`
	ClientID    string `json:"clientId"`
	Secret      string `json:"secret,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	CreatedBy   string `json:"createdBy"`
	CreatedAt   int64  `json:"createdAt"` // seconds
}

// AccountFault is the SSO's error.
type AccountFault struct {
	ID          string `json:"error"`
	Description string `json:"error_description"`
}

// AccountFaultOf gives the SSO's error within an error; without one it has no id.
func AccountFaultOf(err error) (fault AccountFault) {
	var failed *Error
	if errors.As(err, &failed) {
		_ = json.Unmarshal(failed.Body, &fault) // what is no error has no id
	}
	return fault
}

// CreateAccount makes a service account; a description is sent only where there is one.
func (c *Client) CreateAccount(ctx context.Context, name, description string) (made Account, err error) {
	body := map[string]string{"name": name}
	if description != "" {
		body["description"] = description
	}
	_, err = c.call(ctx, operation{method: http.MethodPost, path: direct}, nil, body, &made)
	return made, withSecret(made, err)
}

// ListAccounts reads a page, which is a bare array.
func (c *Client) ListAccounts(ctx context.Context, first, most string) (list []Account, err error) {
	_, err = c.call(ctx, operation{method: http.MethodGet, path: direct}, url.Values{"first": {first}, "max": {most}}, nil, &list)
	return list, err
}

// GetAccount reads a service account.
func (c *Client) GetAccount(ctx context.Context, id string) (found Account, err error) {
	_, err = c.call(ctx, operation{method: http.MethodGet, path: direct + "/%s"}.at(id), nil, nil, &found)
	return found, err
}

// DeleteAccount removes a service account.
func (c *Client) DeleteAccount(ctx context.Context, id string) error {
	_, err := c.call(ctx, operation{method: http.MethodDelete, path: direct + "/%s"}.at(id), nil, nil, nil)
	return err
}

// ResetAccount gives a service account a new secret.
func (c *Client) ResetAccount(ctx context.Context, id string) (found Account, err error) {
	_, err = c.call(ctx, operation{method: http.MethodPost, path: direct + "/%s/resetSecret"}.at(id), nil, nil, &found)
	return found, withSecret(found, err)
}

func withSecret(a Account, err error) error {
	if err == nil && (a.Secret == "" || a.CreatedAt < 1e9 || a.CreatedAt > 1e11) {
		return fmt.Errorf("account %s has no secret, or no birthday in seconds", a.ID)
	}
	return err
}
