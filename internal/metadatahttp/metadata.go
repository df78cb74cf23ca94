// Package metadatahttp is the edge room of what the customer API tells about
// itself: its versions and its error codes.
//
// It is not for its documents (docshttp), nor for anything that depends on the
// caller or the database: whoever has no token yet starts here.
// Invariant: for one build of the program the replies are always the same.
package metadatahttp

import (
	"context"
	"path"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Public answers the operations of the customer API that describe it.
type Public struct{ commit string }

// New makes the handlers. The commit is the one that the program was built from.
func New(commit string) *Public { return &Public{commit: commit} }

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
