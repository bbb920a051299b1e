package connection

// Kinds lists the kinds of connections.
func Kinds() []Kind {
	kinds := []Kind{
		{
			Name: "none", Title: "No credentials",
			Description: "Adds nothing to a request. It is of use for its own certificate authority, and for confining requests to hosts.",
			open:        func(*opening) auth { return nothing{} },
		},
		{
			Name: "basic", Title: "User name and password", NeedsHosts: true,
			Description: "Sends a user name and a password with every request (HTTP Basic, RFC 7617, in UTF-8).",
			Fields: []Field{
				{Name: "username", Title: "User name", Description: "Without a colon.", Required: true},
				{Name: "password", Title: "Password", Description: "May be empty.", Secret: true},
			},
			open: openBasic,
		},
		{
			Name: "bearer", Title: "Bearer token", NeedsHosts: true,
			Description: "Sends a fixed token with every request (RFC 6750).",
			Fields: []Field{
				{Name: "token", Title: "Token", Description: "As the service gave it.", Secret: true, Required: true},
				{Name: "scheme", Title: "Scheme", Description: "The word before the token.", Default: "Bearer"},
			},
			open: openBearer,
		},
		{
			Name: "api_key", Title: "API key", NeedsHosts: true,
			Description: "Sends a key in a header, a query parameter or a cookie.",
			Fields: []Field{
				{Name: "key", Title: "Key", Description: "As the service gave it.", Secret: true, Required: true},
				{Name: "in", Title: "Where", Description: "Where the key goes. Prefer a header: addresses are logged by many.", Enum: []string{"header", "query", "cookie"}, Default: "header"},
				{Name: "name", Title: "Name", Description: "Of the header, the parameter or the cookie.", Default: "X-API-Key"},
				{Name: "prefix", Title: "Prefix", Description: "Put before the key, a blank at its end included."},
			},
			open: openKey,
		},
		{
			Name: "digest", Title: "Digest", NeedsHosts: true,
			Description: "Proves a password without sending it (HTTP Digest, RFC 7616; MD5, SHA-256, SHA-512/256; auth and auth-int).",
			Fields: []Field{
				{Name: "username", Title: "User name", Description: "Without a colon.", Required: true},
				{Name: "password", Title: "Password", Description: "Used for the proof; it isn't sent.", Secret: true, Required: true},
			},
			open: openDigest,
		},
		{
			Name: kindOAuth, Title: "OAuth 2.0", NeedsHosts: true,
			Description: "Gets access tokens from a provider and keeps them alive: refreshed at 80 % of their life and when the service refuses one.",
			Fields:      oauthFields(),
			open:        openOAuth,
		},
		{
			Name: "aws_sigv4", Title: "AWS Signature, version 4", NeedsHosts: true,
			Description: "Signs each request with an AWS access key. A body is read once more for its hash.",
			Fields: []Field{
				{Name: "access_key_id", Title: "Access key ID", Description: "Such as AKIDEXAMPLE.", Required: true},
				{Name: "secret_access_key", Title: "Secret access key", Description: "Used to sign; it isn't sent.", Secret: true, Required: true},
				{Name: "session_token", Title: "Session token", Description: "Of temporary credentials.", Secret: true},
				{Name: "region", Title: "Region", Description: "Such as eu-central-1.", Required: true},
				{Name: "service", Title: "Service", Description: "The signing name, such as s3, execute-api or sqs.", Required: true},
			},
			open: openSigV4,
		},
		{
			Name: "hmac", Title: "HMAC signature", NeedsHosts: true,
			Description: "Signs each request's body with a shared secret: as Standard Webhooks has it, or in a form of your own. A body is read once more for it.",
			Fields:      hmacFields(),
			open:        openHMAC,
		},
		{
			Name: "mutual_tls", Title: "Client certificate", NeedsHosts: true,
			Description: "Shows a certificate when the TLS connection is made.",
			Fields: []Field{
				{Name: "certificate", Title: "Certificate", Description: "PEM, with the authorities between it and the root behind it.", Format: "pem", Required: true},
				{Name: "private_key", Title: "Private key", Description: "PEM, not encrypted.", Format: "pem", Secret: true, Required: true},
			},
			open: openCertificate,
		},
	}
	for i := range kinds {
		k := &kinds[i]
		k.Fields = append(k.Fields,
			Field{Name: "ca", Title: "Certificate authorities", Description: "PEM. Where it is given, these and no others are trusted.", Format: "pem"},
			Field{Name: "test_url", Title: "Address for tests", Description: "What a test asks for by GET; a status below 400 passes.", Format: "uri"})
		k.Config = schema(k.Fields)
	}
	return kinds
}
