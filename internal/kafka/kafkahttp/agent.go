package kafkahttp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
)

// AgentSettings is what every instance is told besides its own row.
type AgentSettings struct {
	Build              string // of this binary: another one may show the same row in another way
	Auth               bool   // instances authenticate their clients at the SSO
	TokenURL           string
	JWKSURL            string
	Issuer             string
	UserNameClaim      string
	FallbackUserClaim  string
	TLSTrustedCert     string // PEM; empty: the system's authorities
	FurtherOwners      []string
	MaxSessionLifetime time.Duration
	// CanariesByID: the tokens of canaries name the fleet manager's organisation, so
	// each instance knows its own by the client id.
	CanariesByID bool
}

// Agent serves the agents of data-plane clusters.
type Agent struct {
	service     *kafka.Service
	clusters    *cluster.Store
	settings    AgentSettings
	fingerprint string
	shown       *bodies
}

// NewAgent makes the agents' handlers.
func NewAgent(service *kafka.Service, clusters *cluster.Store, settings AgentSettings) (*Agent, error) {
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("fingerprinting the agents' settings: %w", err)
	}
	sum := sha256.Sum256(raw)
	return &Agent{
		service: service, clusters: clusters, settings: settings, fingerprint: hex.EncodeToString(sum[:6]), shown: newBodies(),
	}, nil
}

// GetKafkas answers GET /agent-clusters/{id}/kafkas: byte-stable while nothing changes.
func (a *Agent) GetKafkas(ctx context.Context, r agent.GetKafkasRequestObject) (agent.GetKafkasResponseObject, error) {
	if r.Params.IfNoneMatch != "" {
		mark, err := a.service.DesiredMark(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		if etag := a.etag(mark); httpx.SameTag(r.Params.IfNoneMatch, etag) {
			return agent.GetKafkas304Response{Headers: agent.NotModifiedResponseHeaders{ETag: etag}}, nil
		}
	}
	// The stamps are read before the rows: a change in between makes the mark too
	// old, which costs one more full reply, never a missed change.
	stamps, mark, err := a.service.DesiredStamps(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	etag := a.etag(mark)
	items, err := a.shown.of(stamps, func(missing []kafka.ID) ([]body, error) {
		desired, whole, err := a.service.DesiredOn(ctx, r.ID, missing)
		if !whole { // what is missing must show up as soon as it can be shown, though no row changes then
			etag = ""
		}
		return renderAll(desired, func(d kafka.Desired) kafka.Stamp { return d.Stamp }, a.toAgent, err)
	})
	if err != nil {
		return nil, err
	}
	return agentList{listReply{before: `{"items":[`, items: items, after: `],"kind":"ManagedKafkaList"}`, etag: etag}}, nil
}

func (a *Agent) etag(m kafka.Mark) string {
	return fmt.Sprintf(`"%s-%d-%x"`, a.fingerprint, m.Rows, uint64(m.Hash))
}

// agentList is the reply to GET /agent-clusters/{id}/kafkas.
type agentList struct{ listReply }

// VisitGetKafkasResponse writes the reply.
func (l agentList) VisitGetKafkasResponse(w http.ResponseWriter) error { return l.write(w) }

// UpdateKafkaClusterStatus answers PUT /agent-clusters/{id}/kafkas/status.
func (a *Agent) UpdateKafkaClusterStatus(
	ctx context.Context, r agent.UpdateKafkaClusterStatusRequestObject,
) (agent.UpdateKafkaClusterStatusResponseObject, error) {
	c, err := a.clusters.ByClusterID(ctx, r.ID)
	if errors.Is(err, cluster.ErrNotFound) {
		// 404 is what those see who may not be here; this agent may.
		return nil, apierr.New(apierr.BadRequest, "cluster "+r.ID+" is not there any more")
	}
	if err != nil {
		return nil, err
	}
	reports := make(map[kafka.ID]kafka.Report, len(*r.Body))
	for id, status := range *r.Body {
		reports[kafka.ID(id)] = fromAgent(status)
	}
	if err := a.service.Report(ctx, c, reports); err != nil {
		return nil, err
	}
	return agent.UpdateKafkaClusterStatus200Response{}, nil
}

func fromAgent(s agent.DataPlaneKafkaStatus) kafka.Report {
	report := kafka.Report{
		KafkaVersion: s.Versions.Kafka, StrimziVersion: s.Versions.Strimzi, IBPVersion: s.Versions.KafkaIBP,
		AdminServerURI: s.AdminServerURI,
	}
	for _, c := range s.Conditions {
		report.Conditions = append(report.Conditions, kafka.Condition{Type: c.Type, Reason: c.Reason, Message: c.Message, Status: c.Status})
	}
	for _, r := range s.Routes {
		report.Routes = append(report.Routes, kafka.ReportedRoute{Name: r.Name, Prefix: r.Prefix, Router: r.Router})
	}
	if at, err := time.Parse(time.RFC3339, s.UpdatedTimestamp); err == nil {
		at = at.UTC().Truncate(time.Microsecond) // as the column keeps it, or the same report would look newer for ever
		report.At = &at
	}
	return report
}

// toAgent shows an instance to the agent of its cluster.
func (a *Agent) toAgent(d kafka.Desired) agent.ManagedKafka {
	k := d.Kafka
	suspended := k.Status == kafka.Suspending || k.Status == kafka.Suspended
	out := agent.ManagedKafka{
		ID:   string(k.ID),
		Kind: "ManagedKafka",
		Metadata: agent.ManagedKafkaMetadata{
			Name: k.Name, Namespace: k.Namespace,
			Annotations: agent.ManagedKafkaAnnotations{ID: string(k.ID), PlacementID: k.PlacementID},
			Labels: agent.ManagedKafkaLabels{
				ProfileType: k.InstanceType, ProfileQuotaConsumed: strconv.Itoa(k.QuotaConsumed), Suspended: strconv.FormatBool(suspended),
			},
		},
		Spec: agent.ManagedKafkaSpec{
			Capacity: agent.ManagedKafkaCapacity{
				IngressPerSec: k.SizeSnapshot.IngressThroughputPerSec, EgressPerSec: k.SizeSnapshot.EgressThroughputPerSec,
				TotalMaxConnections:         int32(k.SizeSnapshot.TotalMaxConnections),
				MaxPartitions:               int32(k.SizeSnapshot.MaxPartitions),
				MaxConnectionAttemptsPerSec: int32(k.SizeSnapshot.MaxConnectionAttemptsPerSec),
				MaxDataRetentionSize:        k.MaxDataRetentionSize,
				MaxDataRetentionPeriod:      k.SizeSnapshot.MaxDataRetentionPeriod,
			},
			Owners:   append([]string{k.Owner}, a.settings.FurtherOwners...),
			Endpoint: agent.ManagedKafkaEndpoint{BootstrapServerHost: k.BootstrapServerHost},
			Versions: agent.ManagedKafkaVersions{
				Kafka: k.DesiredKafkaVersion, Strimzi: k.DesiredStrimziVersion, KafkaIBP: k.DesiredKafkaIBPVersion,
			},
			Deleted: k.Status == kafka.Deprovision,
		},
	}
	if a.settings.Auth {
		a.authenticate(&out.Spec, d)
	}
	return out
}

func (a *Agent) authenticate(spec *agent.ManagedKafkaSpec, d kafka.Desired) {
	spec.OAuth = agent.ManagedKafkaOAuth{
		TokenEndpointURI: a.settings.TokenURL, JWKSEndpointURI: a.settings.JWKSURL, ValidIssuerEndpointURI: a.settings.Issuer,
		UserNameClaim: a.settings.UserNameClaim, FallbackUserNameClaim: a.settings.FallbackUserClaim,
		CustomClaimCheck: claimCheck(d.OrganisationID),
	}
	if a.settings.CanariesByID && d.CanaryServiceAccountClientID != "" {
		spec.OAuth.CustomClaimCheck += " || @.clientId == '" + quoted(d.CanaryServiceAccountClientID) + "'"
	}
	if a.settings.TLSTrustedCert != "" {
		spec.OAuth.TLSTrustedCertificate = &a.settings.TLSTrustedCert
	}
	if d.ReauthenticationEnabled {
		spec.OAuth.MaximumSessionLifetime = a.settings.MaxSessionLifetime.Milliseconds()
	}
	if d.CanaryServiceAccountClientID != "" {
		spec.ServiceAccounts = []agent.ManagedKafkaServiceAccount{{
			Name: "canary", Principal: d.CanaryServiceAccountClientID, Password: d.CanarySecret.Reveal(),
		}}
	}
}

// claimCheck lets in the tokens of one organisation. A quote in the id would
// end the text inside the condition, so it is escaped as JsonPath has it.
func claimCheck(organisationID string) string {
	id := quoted(organisationID)
	return "@.rh-org-id == '" + id + "'|| @.org_id == '" + id + "'"
}

func quoted(text string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) }
