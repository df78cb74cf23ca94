package catalog

// RegionDisplayName is the name of a region that customers read, the id for one
// that is not known here. It changes nothing: any region may be configured.
func RegionDisplayName(provider, id string) string {
	var names map[string]string
	switch provider {
	case "aws":
		names = awsRegions()
	case "gcp":
		names = gcpRegions()
	case "azure":
		names = azureRegions()
	}
	if name, ok := names[id]; ok {
		return name
	}
	return id
}

func awsRegions() map[string]string {
	return map[string]string{
		"af-south-1":     "Africa, Cape Town",
		"ap-east-1":      "Asia Pacific, Hong Kong",
		"ap-northeast-1": "Asia Pacific, Tokyo",
		"ap-northeast-2": "Asia Pacific, Seoul",
		"ap-northeast-3": "Asia Pacific, Osaka",
		"ap-south-1":     "Asia Pacific, Mumbai",
		"ap-south-2":     "Asia Pacific, Hyderabad",
		"ap-southeast-1": "Asia Pacific, Singapore",
		"ap-southeast-2": "Asia Pacific, Sydney",
		"ap-southeast-3": "Asia Pacific, Jakarta",
		"ap-southeast-4": "Asia Pacific, Melbourne",
		"ca-central-1":   "Canada, Central",
		"eu-central-1":   "EU, Frankfurt",
		"eu-central-2":   "EU, Zurich",
		"eu-north-1":     "EU, Stockholm",
		"eu-south-1":     "EU, Milan",
		"eu-south-2":     "EU, Spain",
		"eu-west-1":      "EU, Ireland",
		"eu-west-2":      "EU, London",
		"eu-west-3":      "EU, Paris",
		"il-central-1":   "Israel, Tel Aviv",
		"me-central-1":   "Middle East, UAE",
		"me-south-1":     "Middle East, Bahrain",
		"sa-east-1":      "South America, Sao Paulo",
		"us-east-1":      "US East, N. Virginia",
		"us-east-2":      "US East, Ohio",
		"us-west-1":      "US West, N. California",
		"us-west-2":      "US West, Oregon",
	}
}

func gcpRegions() map[string]string {
	return map[string]string{
		"asia-east1":              "Changhua County, Taiwan",
		"asia-east2":              "Hong Kong",
		"asia-northeast1":         "Tokyo, Japan",
		"asia-northeast2":         "Osaka, Japan",
		"asia-northeast3":         "Seoul, South Korea",
		"asia-south1":             "Mumbai, India",
		"asia-southeast1":         "Jurong West, Singapore",
		"asia-southeast2":         "Jakarta, Indonesia",
		"australia-southeast1":    "Sydney, Australia",
		"europe-north1":           "Hamina, Finland",
		"europe-west1":            "St. Ghislain, Belgium",
		"europe-west2":            "London, England",
		"europe-west3":            "Frankfurt, Germany",
		"europe-west4":            "Eemshaven, Netherlands",
		"europe-west6":            "Zurich, Switzerland",
		"northamerica-northeast1": "Montreal, Canada",
		"southamerica-east1":      "Sao Paulo, Brazil",
		"us-central1":             "Council Bluffs, Iowa, USA",
		"us-east1":                "Moncks Corner, South Carolina, USA",
		"us-east4":                "Ashburn, Virginia, USA",
		"us-west1":                "The Dalles, Oregon, USA",
		"us-west2":                "Los Angeles, California, USA",
		"us-west3":                "Salt Lake City, Utah, USA",
		"us-west4":                "Las Vegas, Nevada, USA",
	}
}

func azureRegions() map[string]string {
	return map[string]string{
		"centralus":     "Central US",
		"eastus":        "East US",
		"eastus2":       "East US 2",
		"northeurope":   "North Europe",
		"southeastasia": "Southeast Asia",
		"uksouth":       "UK South",
		"westeurope":    "West Europe",
		"westus2":       "West US 2",
		"westus3":       "West US 3",
	}
}
