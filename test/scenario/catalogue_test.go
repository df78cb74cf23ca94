package scenario

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// A limit of two units, a closed type, a region without clusters and a cloud of its own.
const someRegions = `supported_providers:
- name: gcp
  default: false
  regions: [{name: us-east1, default: true, supported_instance_type: {standard: {}}}]
- name: aws
  default: true
  regions:
  - {name: us-east-1, default: true, supported_instance_type: {standard: {limit: 2}, developer: {limit: 0}}}
  - {name: ap-south-1, default: false, supported_instance_type: {developer: {}}}
`

func TestTheBodiesOfTheCatalogue(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Providers(someRegions), harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 2}))
	alice := h.As(harness.Alice)
	get := func(path string) []byte {
		reply := alice.Do(http.MethodGet, path, nil).Must(200)
		require.Equal(t, "application/json", reply.Header.Get("Content-Type"))
		return reply.Body
	}
	golden(t, "cloud_providers", get("/cloud_providers"))
	golden(t, "cloud_providers", get("/cloud_providers/?page=7&size=1"))
	golden(t, "cloud_providers", get("/cloud_providers?page=none&size=-1"))
	golden(t, "regions", get("/cloud_providers/aws/regions"))
	golden(t, "regions", get("/cloud_providers/aws/regions?page=2&size=1"))
	golden(t, "regions_none", get("/cloud_providers/moon/regions"))
	golden(t, "instance_types", get("/instance_types/aws/us-east-1"))
	golden(t, "instance_types_one", get("/instance_types/gcp/us-east1"))
	golden(t, "error_types_provider", alice.Do(http.MethodGet, "/instance_types/moon/us-east-1", nil).MustFail(400, 30).Body)
	golden(t, "error_types_region", alice.Do(http.MethodGet, "/instance_types/aws/us-east1", nil).MustFail(400, 31).Body)
	alice.Do(http.MethodGet, "/instance_types/aws", nil).MustFail(404, 7)
	alice.Do(http.MethodGet, "/cloud_providers/aws", nil).MustFail(404, 7)
	alice.Do(http.MethodPost, "/cloud_providers", nil).MustFail(405, 10)
}

// capacity reads what is available of standard instances in the region of ClusterOne.
func capacity(h *harness.World, r *harness.Replica) []string {
	var regions public.CloudRegionList
	h.As(harness.Bob).At(r).Do(http.MethodGet, "/cloud_providers/aws/regions", nil).Must(200).Into(&regions)
	for _, region := range regions.Items {
		for _, c := range region.Capacity {
			if region.ID == "us-east-1" && c.InstanceType == "standard" {
				return c.AvailableSizes
			}
		}
	}
	return nil
}

func waitCapacity(h *harness.World, want ...string) {
	for i := range 2 {
		h.Until("the sizes that fit", func() (bool, string) {
			sizes := capacity(h, h.Replica(i))
			if len(sizes) != len(want) {
				return false, "not that many"
			}
			for j := range sizes {
				if sizes[j] != want[j] {
					return false, sizes[j]
				}
			}
			return true, ""
		})
	}
}

// What is available is what an order gets, at every replica, whatever was it that was used up.
func TestCapacityFollowsWhatLives(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]harness.Option{
		"limit of the region": {harness.Providers(someRegions)},
		"room on the cluster": {harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: 2})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t, append(options, harness.Replicas(2))...)
			alice := h.As(harness.Alice)
			waitCapacity(h, "x1", "x2")
			first := alice.CreateKafka("first")
			waitCapacity(h, "x1")
			alice.Create(harness.Order{Name: "big", Plan: "standard.x2"}).MustFail(403, 24)
			second := alice.CreateKafka("second")
			waitCapacity(h)
			alice.Create(harness.Order{Name: "more"}).MustFail(403, 24)
			for _, k := range []harness.Kafka{first, second} {
				h.WaitStatus(k.ID, kafka.Ready)
				alice.Delete(k.ID)
				h.WaitGone(k.ID)
			}
			waitCapacity(h, "x1", "x2")
			alice.Create(harness.Order{Name: "big", Plan: "standard.x2"}).Must(202)
			waitCapacity(h)
		})
	}
}

// A fleet that has no clusters yet shows what it was configured for, and no room.
func TestTheCatalogueOfAnEmptyFleet(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Clusters())
	golden(t, "cloud_providers_empty_fleet", h.As(harness.Mallory).Do(http.MethodGet, "/cloud_providers", nil).Must(200).Body)
	golden(t, "regions_empty_fleet", h.As(harness.Mallory).Do(http.MethodGet, "/cloud_providers/aws/regions", nil).Must(200).Body)
}

// A poll that nothing happened to costs its client no body.
func TestTheCatalogueIsSentOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.Unequipped())
	for _, path := range []string{"/cloud_providers", "/cloud_providers/aws/regions", "/instance_types/aws/us-east-1", "/openapi", "/openapi/ui", "/openapi/ui/swagger-ui.css"} {
		first := h.As(harness.Alice).Do(http.MethodGet, path, nil).Must(200)
		tag := first.Header.Get("ETag")
		require.NotEmpty(t, tag, path)
		h.As(harness.Bob).With("If-None-Match", tag).Do(http.MethodGet, path, nil).Must(304)
		h.As(harness.Bob).With("If-None-Match", `"other"`).Do(http.MethodGet, path, nil).Must(200)
	}
	refused := h.As(harness.Alice).With("Accept", "application/problem+json").Do(http.MethodGet, "/instance_types/moon/sea", nil).MustFail(400, 30)
	require.Equal(t, "application/problem+json", refused.Header.Get("Content-Type"))
}
