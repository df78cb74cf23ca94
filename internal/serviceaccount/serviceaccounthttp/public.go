// Package serviceaccounthttp serves service accounts, and where they get their
// tokens, to customers over HTTP.
//
// It decodes, calls one use case and encodes. It is not for rules: those are
// serviceaccount's. Invariant: a secret leaves only in the replies to creation
// and reset.
package serviceaccounthttp

import (
	"context"
	"strconv"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// SSO says where accounts get their tokens.
type SSO struct {
	Name     string // mas_sso or redhat_sso
	BaseURL  string
	TokenURL string
	JWKSURL  string
	Issuer   string
}

// Accounts is the use cases. Where the fleet manager keeps the accounts they are
// those of serviceaccount.Service, where the SSO does they are an adapter's.
type Accounts interface {
	List(ctx context.Context, who access.Identity, offset, limit int) (part []serviceaccount.Account, total int, err error)
	Find(ctx context.Context, who access.Identity, clientID string) ([]serviceaccount.Account, error)
	Get(ctx context.Context, who access.Identity, id string) (serviceaccount.Account, error)
	Create(ctx context.Context, who access.Identity, r serviceaccount.Request) (serviceaccount.Account, error)
	Reset(ctx context.Context, who access.Identity, id string) (serviceaccount.Account, error)
	Delete(ctx context.Context, who access.Identity, id string) error
}

// Public serves customers.
type Public struct {
	service  Accounts
	pageSize int // of a list whose caller names none
	sso      SSO
}

// New makes the customers' handlers.
func New(service Accounts, pageSize int, sso SSO) *Public {
	return &Public{service: service, pageSize: pageSize, sso: sso}
}

// GetServiceAccounts answers GET /service_accounts: one page, or the account of a
// client id.
func (p *Public) GetServiceAccounts(
	ctx context.Context, r public.GetServiceAccountsRequestObject,
) (public.GetServiceAccountsResponseObject, error) {
	list, accounts, total, err := p.list(ctx, r.Params)
	if err != nil {
		return nil, err
	}
	out := public.GetServiceAccounts200JSONResponse{
		Kind: "ServiceAccountList", Items: make([]public.ServiceAccountListItem, 0, len(accounts)),
	}
	out.Page, out.Size, out.Total = list.Echo(int64(total))
	for _, a := range accounts {
		out.Items = append(out.Items, toListItem(a))
	}
	return out, nil
}

func (p *Public) list(
	ctx context.Context, params public.GetServiceAccountsParams,
) (list httpx.List, accounts []serviceaccount.Account, total int, err error) {
	who := access.From(ctx)
	if params.ClientID != nil { // the page of an id is not asked for
		accounts, err = p.service.Find(ctx, who, *params.ClientID)
		return httpx.List{Page: 1, Size: len(accounts)}, accounts, len(accounts), err
	}
	size := params.Size
	if size == "" || size == "0" { // here, unlike elsewhere, clients send 0 for the default
		size = strconv.Itoa(p.pageSize)
	}
	if list, err = httpx.ParseList("unable to list service accounts", params.Page, size); err != nil {
		return list, nil, 0, err
	}
	accounts, total, err = p.service.List(ctx, who, list.Offset, list.Size)
	return list, accounts, total, err
}

// CreateServiceAccount answers POST /service_accounts.
func (p *Public) CreateServiceAccount(
	ctx context.Context, r public.CreateServiceAccountRequestObject,
) (public.CreateServiceAccountResponseObject, error) {
	made, err := p.service.Create(ctx, access.From(ctx), serviceaccount.Request{Name: r.Body.Name, Description: r.Body.Description})
	if err != nil {
		return nil, err
	}
	return public.CreateServiceAccount202JSONResponse(toPublic(made)), nil
}

// GetServiceAccountByID answers GET /service_accounts/{id}.
func (p *Public) GetServiceAccountByID(
	ctx context.Context, r public.GetServiceAccountByIDRequestObject,
) (public.GetServiceAccountByIDResponseObject, error) {
	found, err := p.service.Get(ctx, access.From(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return public.GetServiceAccountByID200JSONResponse(toPublic(found)), nil
}

// DeleteServiceAccountByID answers DELETE /service_accounts/{id}.
func (p *Public) DeleteServiceAccountByID(
	ctx context.Context, r public.DeleteServiceAccountByIDRequestObject,
) (public.DeleteServiceAccountByIDResponseObject, error) {
	if err := p.service.Delete(ctx, access.From(ctx), r.ID); err != nil {
		return nil, err
	}
	return public.DeleteServiceAccountByID204Response{}, nil
}

// ResetServiceAccountCreds answers POST /service_accounts/{id}/reset_credentials.
func (p *Public) ResetServiceAccountCreds(
	ctx context.Context, r public.ResetServiceAccountCredsRequestObject,
) (public.ResetServiceAccountCredsResponseObject, error) {
	reset, err := p.service.Reset(ctx, access.From(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return public.ResetServiceAccountCreds200JSONResponse(toPublic(reset)), nil
}

// GetSSOProviders answers GET /sso_providers, which needs no token.
func (p *Public) GetSSOProviders(context.Context, public.GetSSOProvidersRequestObject) (public.GetSSOProvidersResponseObject, error) {
	return public.GetSSOProviders200JSONResponse{
		ID: p.sso.Name, Kind: "SsoProvider", Href: apierr.Kafkas.BasePath + "/sso_providers",
		Name: p.sso.Name, BaseURL: p.sso.BaseURL, TokenURL: p.sso.TokenURL, JWKS: p.sso.JWKSURL, ValidIssuer: p.sso.Issuer,
	}, nil
}

func toPublic(a serviceaccount.Account) public.ServiceAccount {
	return public.ServiceAccount{
		ID: a.ID, Kind: "ServiceAccount", Href: href(a),
		Name: a.Name, Description: a.Description, ClientID: a.ClientID, ClientSecret: a.Secret.Reveal(),
		Owner: a.CreatedBy, CreatedBy: a.CreatedBy, CreatedAt: a.CreatedAt,
	}
}

func toListItem(a serviceaccount.Account) public.ServiceAccountListItem {
	return public.ServiceAccountListItem{
		ID: a.ID, Kind: "ServiceAccount", Href: href(a),
		Name: a.Name, Description: a.Description, ClientID: a.ClientID,
		Owner: a.CreatedBy, CreatedBy: a.CreatedBy, CreatedAt: a.CreatedAt,
	}
}

func href(a serviceaccount.Account) string {
	return apierr.Kafkas.BasePath + "/service_accounts/" + a.ID
}
