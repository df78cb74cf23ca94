package keycloak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/Nerzal/gocloak/v13"
)

const (
	protocol        = "openid-connect"
	attributeMapper = "oidc-usermodel-attribute-mapper"
)

// ClientSpec is a confidential client with a service account and no other way to log in.
type ClientSpec struct {
	ClientID    string
	Name        string
	Description string
	Attributes  map[string]string // of the client; searchable, repaired when they differ
	Once        map[string]string // attributes that are set when missing and then left alone, such as a time of creation
	TokenClaims map[string]string // claims of the service account's tokens
	First       bool              // nobody can have made it before, so it is not looked for at first
}

// Ensure makes the client be there as specified, and gives it with its secret.
// It looks first and repairs what is missing, so that a call which was cut off
// anywhere is completed by the next one, and never makes a second client.
func (a *Admin) Ensure(ctx context.Context, spec ClientSpec) (Client, error) {
	made, err := a.ensureClient(ctx, spec)
	if err != nil {
		return Client{}, err
	}
	if err := a.ensureClaims(ctx, made.ID, spec.TokenClaims); err != nil {
		return Client{}, err
	}
	if made.Secret, err = a.Secret(ctx, made.ID); err != nil {
		return Client{}, err
	}
	return made, nil
}

func (a *Admin) ensureClient(ctx context.Context, spec ClientSpec) (Client, error) {
	var found *gocloak.Client
	err := ErrNotFound
	if !spec.First {
		found, err = a.find(ctx, spec.ClientID)
	}
	if errors.Is(err, ErrNotFound) {
		made, failure := a.create(ctx, spec)
		if !errors.Is(failure, ErrConflict) {
			return made, failure
		}
		// Another caller was faster, or an earlier try of ours had its effect after all.
		found, err = a.find(ctx, spec.ClientID)
		if errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("creating the SSO client %s: %w: it exists and is not listed yet", spec.ClientID, ErrUnavailable)
		}
	}
	if err != nil {
		return Client{}, err
	}
	return a.repair(ctx, spec, found)
}

func (a *Admin) repair(ctx context.Context, spec ClientSpec, found *gocloak.Client) (Client, error) {
	goal := wanted(spec, *found)
	if same(*found, goal) {
		return clientOf(found), nil
	}
	_, err := call(ctx, a, "repairing an SSO client", func(ctx context.Context, token string) (struct{}, error) {
		return struct{}{}, a.sdk.UpdateClient(ctx, token, a.realm.Name, goal)
	})
	return clientOf(&goal), err
}

func (a *Admin) create(ctx context.Context, spec ClientSpec) (Client, error) {
	goal := wanted(spec, gocloak.Client{})
	id, err := call(ctx, a, "creating an SSO client", func(ctx context.Context, token string) (string, error) {
		return a.sdk.CreateClient(ctx, token, a.realm.Name, goal)
	})
	if err != nil {
		return Client{}, err
	}
	if !idShape.MatchString(id) {
		return a.Find(ctx, spec.ClientID) // a proxy dropped the Location header, or changed it
	}
	goal.ID = &id
	return clientOf(&goal), nil
}

// wanted is the client as it is with all that the spec demands.
func wanted(spec ClientSpec, have gocloak.Client) gocloak.Client {
	goal := have
	goal.ClientID, goal.Name, goal.Description = &spec.ClientID, &spec.Name, &spec.Description
	goal.Protocol = gocloak.StringP(protocol)
	goal.Enabled, goal.ServiceAccountsEnabled = gocloak.BoolP(true), gocloak.BoolP(true)
	goal.StandardFlowEnabled, goal.DirectAccessGrantsEnabled = gocloak.BoolP(false), gocloak.BoolP(false)
	goal.ImplicitFlowEnabled, goal.PublicClient = gocloak.BoolP(false), gocloak.BoolP(false)
	attributes := maps.Clone(spec.Once)
	if attributes == nil {
		attributes = map[string]string{}
	}
	if have.Attributes != nil {
		maps.Copy(attributes, *have.Attributes)
	}
	maps.Copy(attributes, spec.Attributes)
	goal.Attributes = &attributes
	mappers := []gocloak.ProtocolMapperRepresentation{}
	if have.ProtocolMappers != nil {
		mappers = slices.Clone(*have.ProtocolMappers)
	}
	for _, claim := range slices.Sorted(maps.Keys(spec.TokenClaims)) {
		mappers = withMapper(mappers, claim)
	}
	goal.ProtocolMappers = &mappers
	return goal
}

// withMapper adds the mapper of a claim, or corrects the one of its name.
func withMapper(mappers []gocloak.ProtocolMapperRepresentation, claim string) []gocloak.ProtocolMapperRepresentation {
	config := map[string]string{
		"user.attribute": claim, "claim.name": claim, "jsonType.label": "String",
		"access.token.claim": "true", "id.token.claim": "true", "userinfo.token.claim": "true",
	}
	i := slices.IndexFunc(mappers, func(m gocloak.ProtocolMapperRepresentation) bool { return gocloak.PString(m.Name) == claim })
	if i < 0 {
		mappers = append(mappers, gocloak.ProtocolMapperRepresentation{Name: &claim})
		i = len(mappers) - 1
	}
	mappers[i].Protocol, mappers[i].ProtocolMapper = gocloak.StringP(protocol), gocloak.StringP(attributeMapper)
	if mappers[i].Config != nil {
		// Keycloak adds keys of its own, which are no difference.
		all := maps.Clone(*mappers[i].Config)
		maps.Copy(all, config)
		config = all
	}
	mappers[i].Config = &config
	return mappers
}

func same(have, goal gocloak.Client) bool {
	text := func(a, b *string) bool { return gocloak.PString(a) == gocloak.PString(b) }
	flag := func(a, b *bool) bool { return gocloak.PBool(a) == gocloak.PBool(b) }
	return text(have.Name, goal.Name) && text(have.Description, goal.Description) && text(have.Protocol, goal.Protocol) &&
		flag(have.Enabled, goal.Enabled) && flag(have.ServiceAccountsEnabled, goal.ServiceAccountsEnabled) &&
		flag(have.StandardFlowEnabled, goal.StandardFlowEnabled) && flag(have.DirectAccessGrantsEnabled, goal.DirectAccessGrantsEnabled) &&
		flag(have.ImplicitFlowEnabled, goal.ImplicitFlowEnabled) && flag(have.PublicClient, goal.PublicClient) &&
		sameAttributes(have, goal) && sameMappers(have, goal)
}

func sameAttributes(have, goal gocloak.Client) bool {
	return maps.Equal(clientOf(&have).Attributes, clientOf(&goal).Attributes)
}

func sameMappers(have, goal gocloak.Client) bool {
	if have.ProtocolMappers == nil {
		return len(*goal.ProtocolMappers) == 0
	}
	return slices.EqualFunc(*have.ProtocolMappers, *goal.ProtocolMappers, func(a, b gocloak.ProtocolMapperRepresentation) bool {
		return gocloak.PString(a.Name) == gocloak.PString(b.Name) && gocloak.PString(a.ProtocolMapper) == gocloak.PString(b.ProtocolMapper) &&
			a.Config != nil && maps.Equal(*a.Config, *b.Config)
	})
}

// ensureClaims gives the service account's user the attributes that the mappers read.
func (a *Admin) ensureClaims(ctx context.Context, id string, claims map[string]string) error {
	if len(claims) == 0 {
		return nil
	}
	user, err := call(ctx, a, StepUser, func(ctx context.Context, token string) (*gocloak.User, error) {
		return a.sdk.GetClientServiceAccount(ctx, token, a.realm.Name, id)
	})
	if err != nil {
		return err
	}
	if err := usable(StepUser, gocloak.PString(user.ID)); err != nil {
		return err
	}
	attributes := map[string][]string{}
	if user.Attributes != nil {
		attributes = maps.Clone(*user.Attributes)
	}
	changed := false
	for name, value := range claims {
		if !slices.Equal(attributes[name], []string{value}) {
			attributes[name], changed = []string{value}, true
		}
	}
	if !changed {
		return nil
	}
	user.Attributes = &attributes
	_, err = call(ctx, a, "giving claims to a service account", func(ctx context.Context, token string) (struct{}, error) {
		return struct{}{}, a.sdk.UpdateUser(ctx, token, a.realm.Name, *user)
	})
	return err
}
