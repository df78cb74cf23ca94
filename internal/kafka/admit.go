package kafka

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
)

// Request is what a customer asks for. Empty texts mean "not given".
type Request struct {
	Async                   string // must be "true"
	Name                    string
	CloudProvider           string
	Region                  string
	Plan                    string // like standard.x1
	ReauthenticationEnabled *bool
	BillingModel            string
	BillingCloudAccountID   string
	Marketplace             string
	ClusterID               string
	IdempotencyKey          *string // nil: none was given
}

// AdmitFacts is what admission needs to know besides the request.
type AdmitFacts struct {
	Catalog      *catalog.Catalog
	NameTaken    func() (bool, error)   // asked only once the name is well-formed
	InstanceType func() (string, error) // what the caller's quota assigns; asked once, and only when it is the next thing that decides
	// BillingAccount judges an order that names an account or a marketplace.
	BillingAccount func(Admission) error
}

// Admission is a request that may be served if there is room and quota for it.
type Admission struct {
	Name                    string
	CloudProvider           string
	Region                  string
	Limit                   catalog.Limit // of the region for the instance type
	Type                    catalog.InstanceType
	Size                    catalog.Size
	MultiAZ                 bool
	BillingModel            string // empty: whatever the quota resolves to
	BillingCloudAccountID   string
	Marketplace             string
	ReauthenticationEnabled bool

	kind string // what the quota assigned; empty until it was asked
}

const (
	maxNameLength    = 32
	maxKeyLength     = 64
	maxBillingLength = 255 // of the texts that are kept as they are given
)

const enterprise = quota.EnterpriseModel

var (
	namePattern    = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	clusterPattern = regexp.MustCompile(`^[a-zA-Z0-9]+$`)
)

// Admit checks a request up to the point where room and quota count. The order
// of the checks is part of the wire: a client sees the first that fails.
func Admit(r Request, f AdmitFacts) (Admission, error) {
	if err := admitName(r, f); err != nil {
		return Admission{}, err
	}
	a := Admission{
		Name: r.Name, BillingCloudAccountID: r.BillingCloudAccountID, Marketplace: r.Marketplace,
		ReauthenticationEnabled: r.ReauthenticationEnabled == nil || *r.ReauthenticationEnabled,
	}
	for _, check := range []func(Request, AdmitFacts) error{a.admitRegion, admitClusterID, a.admitPlan, a.admitBilling, admitCluster} {
		if err := check(r, f); err != nil {
			return Admission{}, err
		}
	}
	return a, nil
}

// admitForm checks what needs nothing but the request.
func admitForm(r Request) error {
	if r.Async != "true" {
		return apierr.New(apierr.SyncUnsupported, "")
	}
	if r.IdempotencyKey != nil {
		if err := admitKey(*r.IdempotencyKey); err != nil {
			return err
		}
	}
	switch {
	case len(r.Name) > maxNameLength:
		return apierr.Newf(apierr.FieldTooLong, "name is too long: at most %d bytes are allowed", maxNameLength)
	case r.Name == "":
		return apierr.New(apierr.FieldTooShort, "name is missing: at least 1 character is required")
	case !namePattern.MatchString(r.Name):
		return apierr.New(apierr.NameMalformed, "name must begin with a lower-case letter, end with a letter or digit, "+
			"and consist of lower-case letters (a-z), digits and dashes, "+strconv.Itoa(maxNameLength)+" at most")
	}
	return nil
}

func admitKey(key string) error {
	switch {
	case key == "":
		return apierr.New(apierr.FieldTooShort, "Idempotency-Key is empty: at least 1 character is required")
	case len(key) > maxKeyLength:
		return apierr.Newf(apierr.FieldTooLong, "Idempotency-Key is too long: at most %d bytes are allowed", maxKeyLength)
	case strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }):
		return apierr.New(apierr.BadRequest, "Idempotency-Key must consist of printable ASCII characters")
	}
	return nil
}

func admitName(r Request, f AdmitFacts) error {
	if err := admitForm(r); err != nil {
		return err
	}
	taken, err := f.NameTaken()
	if err != nil {
		return err
	}
	if taken {
		return apierr.New(apierr.NameTaken, "")
	}
	return nil
}

func (a *Admission) admitRegion(r Request, f AdmitFacts) error {
	if r.ClusterID != "" {
		return nil
	}
	provider, ok := f.Catalog.DefaultProvider(), true
	if r.CloudProvider != "" {
		provider, ok = f.Catalog.Provider(r.CloudProvider)
	}
	if !ok {
		return apierr.New(apierr.ProviderUnsupported, "provider "+r.CloudProvider+" is not supported, choose "+
			choice(f.Catalog.Providers(), func(p catalog.Provider) string { return p.Name }))
	}
	region := provider.DefaultRegion()
	if r.Region != "" {
		region, ok = provider.Region(r.Region)
	}
	if !ok {
		return apierr.New(apierr.RegionUnsupported, "region "+r.Region+" is not supported for "+provider.Name+", choose "+
			choice(provider.Regions, func(r catalog.Region) string { return r.Name }))
	}
	if err := a.assign(f); err != nil {
		return err
	}
	kind, ok := region.Type(a.kind)
	if !ok {
		return apierr.New(apierr.InstanceTypeUnsupported, "instance type "+a.kind+" is not supported for region "+region.Name+", choose another region")
	}
	a.CloudProvider, a.Region, a.Limit = provider.Name, region.Name, kind.Limit
	return nil
}

// assign asks the caller's quota for the instance type.
func (a *Admission) assign(f AdmitFacts) (err error) {
	a.kind, err = f.InstanceType()
	return err
}

func admitClusterID(r Request, _ AdmitFacts) error {
	if r.ClusterID != "" && !clusterPattern.MatchString(r.ClusterID) {
		return apierr.New(apierr.ClusterIDMalformed, "cluster_id must consist of letters and digits")
	}
	return nil
}

// admitCluster is about a cluster of the customer's own. None can be registered
// yet, so a well-formed id names a cluster that is not there.
func admitCluster(r Request, _ AdmitFacts) error {
	if r.ClusterID != "" {
		return apierr.New(apierr.CapacityReached, "no such cluster is available to the organisation")
	}
	return nil
}

func (a *Admission) admitPlan(r Request, f AdmitFacts) error {
	if r.ClusterID != "" { // else it was asked for the region
		if err := a.assign(f); err != nil {
			return err
		}
	}
	kind, ok := f.Catalog.InstanceType(a.kind)
	if !ok || len(kind.Sizes) == 0 {
		return apierr.New(apierr.InstanceTypeUnsupported, "instance type "+a.kind+" has no sizes")
	}
	a.Type, a.Size, a.MultiAZ = kind, kind.Sizes[0], kind.MultiAZ()
	if r.Plan == "" {
		return nil
	}
	typeID, sizeID, ok := strings.Cut(r.Plan, ".")
	if !ok || strings.Contains(sizeID, ".") || typeID != kind.ID {
		return apierr.New(apierr.BadRequest, "plan "+r.Plan+" cannot be ordered, choose "+plans(kind))
	}
	if a.Size, ok = kind.Size(sizeID); !ok {
		return apierr.New(apierr.PlanUnsupported, "plan "+r.Plan+" is not supported, choose "+plans(kind))
	}
	return nil
}

// plans lists what may be ordered of an instance type.
func plans(t catalog.InstanceType) string {
	return choice(t.Sizes, func(size catalog.Size) string { return t.ID + "." + size.ID })
}

// choice lists what a customer may choose from.
func choice[T any](from []T, name func(T) string) string {
	var names []string
	for _, one := range from {
		names = append(names, name(one))
	}
	return quota.OneOf(names)
}

func (a *Admission) admitBilling(r Request, f AdmitFacts) error {
	own := strings.EqualFold(r.BillingModel, enterprise)
	switch {
	case r.BillingModel == "":
	case r.ClusterID != "" && !own:
		return apierr.New(apierr.BillingAccountInvalid, "an instance on a cluster of your own has billing model "+enterprise)
	case r.ClusterID == "" && own:
		return apierr.New(apierr.BadRequest, "billing model "+enterprise+" needs a cluster_id")
	default:
		model, ok := a.Type.BillingModel(r.BillingModel)
		if !ok {
			return apierr.New(apierr.BadRequest, "billing model "+r.BillingModel+" is not supported for instance type "+a.Type.ID+", name "+quota.ModelsOf(a.Type))
		}
		a.BillingModel = model.ID
	}
	switch {
	case r.Marketplace == "" && r.BillingCloudAccountID == "":
		return nil
	case len(r.Marketplace) > maxBillingLength || len(r.BillingCloudAccountID) > maxBillingLength:
		return apierr.Newf(apierr.BillingAccountInvalid,
			"billing_cloud_account_id and marketplace must not be longer than %d bytes", maxBillingLength)
	}
	return f.BillingAccount(*a)
}
