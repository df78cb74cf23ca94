package kafka

import (
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
)

// limits are what one order is counted against. What they have given already is
// read when it begins, behind the locks, and judged in its turn: a refusal that
// comes before in the order of checks wins.
type limits struct {
	order   Kafka
	region  catalog.Limit
	rules   quota.Config
	grant   quota.Grant
	refusal error // what the quota says of the order before anything is counted

	inRegion, ofOwner, ofGrant Usage
}

// openings are the locks, which make those wait who would count the same rows, and
// then the sums. First come the locks of the owner, then of the organisation, then of
// the region: always in this order, so that nobody waits in a circle; and only where
// something is counted.
func (l *limits) openings() (openings []db.Statement) {
	k, grant := l.order, l.grant
	developer := k.InstanceType == catalog.Developer
	counted := l.refusal == nil && !grant.Unlimited
	byOrganisation := counted && grant.Scope == quota.ByOrganisation
	byOwner := counted && !byOrganisation
	if byOwner || developer {
		openings = append(openings, db.OpenLock("quota/owner/"+k.Owner))
	}
	if byOrganisation || grant.Remote != nil {
		openings = append(openings, db.OpenLock("quota/organisation/"+k.OrganisationID))
	}
	if l.region.Limited {
		openings = append(openings, db.OpenLock("region/"+k.CloudProvider+"/"+k.Region+"/"+k.InstanceType))
		openings = append(openings, usageOf(Counted{InstanceType: k.InstanceType, CloudProvider: k.CloudProvider, Region: k.Region}, &l.inRegion))
	}
	if developer {
		openings = append(openings, usageOf(Counted{InstanceType: k.InstanceType, OrganisationID: k.OrganisationID, Owner: k.Owner}, &l.ofOwner))
	}
	if counted {
		granted := Counted{InstanceType: grant.InstanceType, BillingModel: grant.BillingModel, Owner: k.Owner}
		if byOrganisation {
			granted.Owner, granted.OrganisationID = "", k.OrganisationID
		}
		openings = append(openings, usageOf(granted, &l.ofGrant))
	}
	return openings
}

// check judges in the order that clients rely on. A cluster is not chosen yet, but
// there may be none to choose from.
func (l *limits) check(clusters bool) error {
	k := l.order
	if !l.region.Allows(l.inRegion.Units, k.CapacityConsumed) {
		return apierr.New(apierr.CapacityReached, "region "+k.Region+" has no room for another "+k.InstanceType+"."+k.SizeID+" instance, choose another region or try again later")
	}
	if !clusters {
		return noRoom(k)
	}
	if k.InstanceType == catalog.Developer {
		if err := l.rules.CheckDeveloper(l.ofOwner.Instances); err != nil {
			return err
		}
	}
	if l.refusal != nil || l.grant.Unlimited {
		return l.refusal
	}
	return l.grant.Check(l.ofGrant.Units, k.CapacityConsumed)
}
