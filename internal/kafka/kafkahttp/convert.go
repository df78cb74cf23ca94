package kafkahttp

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// toPublic shows an instance to a customer. What it hides on purpose is listed
// in the test beside it. A field that cannot be shown is left out: one bad row
// never fails a list.
func (p *Public) toPublic(k kafka.Kafka) public.KafkaRequest {
	out := public.KafkaRequest{
		ID:   string(k.ID),
		Kind: "Kafka",
		Href: apierr.Kafkas.BasePath + "/kafkas/" + string(k.ID),

		Status:                  string(k.Status),
		Name:                    k.Name,
		Owner:                   k.Owner,
		CloudProvider:           k.CloudProvider,
		Region:                  k.Region,
		MultiAZ:                 k.MultiAZ,
		ReauthenticationEnabled: k.ReauthenticationEnabled,
		CreatedAt:               k.CreatedAt.UTC(),
		UpdatedAt:               k.UpdatedAt.UTC(),
		ExpiresAt:               k.ExpiresAt,
		FailedReason:            k.FailedReason,
		Version:                 k.ActualKafkaVersion,
		BrowserURL:              strings.TrimSuffix(p.browserURL, "/") + "/" + string(k.ID) + "/details/dashboard",

		InstanceType:          k.InstanceType,
		SizeID:                k.SizeID,
		MaxDataRetentionSize:  public.SupportedKafkaSizeBytesValueItem{Bytes: quantityBytes(k.MaxDataRetentionSize)},
		BillingModel:          k.ActualKafkaBillingModel,
		BillingCloudAccountID: k.BillingCloudAccountID,
		Marketplace:           k.Marketplace,
		PromotionStatus:       k.PromotionStatus,
		PromotionDetails:      k.PromotionDetails,

		InstanceTypeName:            k.SizeSnapshot.InstanceTypeName,
		IngressThroughputPerSec:     k.SizeSnapshot.IngressThroughputPerSec,
		EgressThroughputPerSec:      k.SizeSnapshot.EgressThroughputPerSec,
		TotalMaxConnections:         int32(k.SizeSnapshot.TotalMaxConnections),
		MaxPartitions:               int32(k.SizeSnapshot.MaxPartitions),
		MaxConnectionAttemptsPerSec: int32(k.SizeSnapshot.MaxConnectionAttemptsPerSec),
		MaxDataRetentionPeriod:      k.SizeSnapshot.MaxDataRetentionPeriod,
	}
	if k.BootstrapServerHost != "" {
		out.BootstrapServerHost = k.BootstrapServerHost + ":443"
	}
	if k.RoutesCreated { // before that the host behind the URL does not resolve
		out.AdminAPIServerURL = k.AdminAPIServerURL
	}
	if k.OnOwnCluster() { // elsewhere the clients take its mere presence for a cluster of the customer
		out.ClusterID = k.ClusterID
	}
	return out
}

func quantityBytes(text string) int64 {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return 0
	}
	return quantity.Value()
}
