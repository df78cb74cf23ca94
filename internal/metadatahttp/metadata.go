// Package metadatahttp is the edge room of what the customer API tells about
// itself: its versions, its document and its error codes.
//
// It is not for anything that depends on the caller or the database: whoever has
// no token yet starts here.
// Invariant: for one build of the program the replies are always the same.
package metadatahttp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"path"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/openapi"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Public answers the operations of the customer API that describe it.
type Public struct {
	commit      string
	documentTag string
}

// New makes the handlers. The commit is the one that the program was built from.
func New(commit string) *Public {
	sum := sha256.Sum256(openapi.PublicJSON())
	return &Public{
		commit:      commit,
		documentTag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
	}
}

// GetAPIMetadata lists the versions of the API.
func (p *Public) GetAPIMetadata(
	context.Context, public.GetAPIMetadataRequestObject,
) (public.GetAPIMetadataResponseObject, error) {
	root := path.Dir(apierr.Kafkas.BasePath)
	return public.GetAPIMetadata200JSONResponse{
		ID: path.Base(root), Kind: "API", Href: root, Versions: []public.VersionMetadata{p.version()},
	}, nil
}

// GetVersionMetadata lists the collections of the version.
func (p *Public) GetVersionMetadata(
	context.Context, public.GetVersionMetadataRequestObject,
) (public.GetVersionMetadataResponseObject, error) {
	return public.GetVersionMetadata200JSONResponse(p.version()), nil
}

func (p *Public) version() public.VersionMetadata {
	base := apierr.Kafkas.BasePath
	return public.VersionMetadata{
		ID: path.Base(base), Kind: "APIVersion", Href: base, ServerVersion: p.commit,
		// Clients read the order and these kinds, which differ from the kinds of the lists themselves.
		Collections: []public.ObjectReference{
			{ID: "kafkas", Kind: "KafkaList", Href: base + "/kafkas"},
			{ID: "service_accounts", Kind: "ServiceAccountList", Href: base + "/service_accounts"},
			{ID: "cloud_providers", Kind: "CloudProviderList", Href: base + "/cloud_providers"},
		},
	}
}

// GetOpenAPI gives the API's document, or tells that the caller has it already.
func (p *Public) GetOpenAPI(
	_ context.Context, request public.GetOpenAPIRequestObject,
) (public.GetOpenAPIResponseObject, error) {
	if names(request.Params.IfNoneMatch, p.documentTag) {
		return public.GetOpenAPI304Response{Headers: public.GetOpenAPI304ResponseHeaders{ETag: p.documentTag}}, nil
	}
	return public.GetOpenAPI200JSONResponse{
		Body: openapi.PublicJSON(), Headers: public.GetOpenAPI200ResponseHeaders{ETag: p.documentTag},
	}, nil
}

// names tells whether an If-None-Match header holds the tag. Proxies that
// compress make tags weak, which is no reason to send the document again.
func names(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}
