package curl

// An effect is what an option means for a step.
type effect uint8

const (
	// ignored: it is about curl's own output or connection.
	ignored effect = iota
	// warned: the step can't do it, and the option's note says what to do.
	warned
	setMethod
	addHeader
	addData
	addRaw
	addEncoded
	addJSON
	toQuery
	addPart
	addString
	setUser
	setBearer
	setCookie
	setAgent
	setReferer
	setHead
	setURL
	setUpload
	setTimeout
	follow
	setRedirects
	nextRequest
)

// An option is one that curl has (curl 8, man page).
type option struct {
	short byte // 0: none
	long  string
	arg   bool // it takes an argument
	what  effect
	note  string
}

const (
	certificateNote = "certificates are the server's settings, not a step's"
	networkNote     = "it is left out: the server decides how hosts are reached"
)

// options are the ones that are known; any other is a problem, since nobody
// could tell whether the next word belongs to it.
var options = []option{
	{'X', "request", true, setMethod, ""},
	{'H', "header", true, addHeader, ""},
	{'d', "data", true, addData, ""},
	{0, "data-ascii", true, addData, ""},
	{0, "data-binary", true, addData, ""},
	{0, "data-raw", true, addRaw, ""},
	{0, "data-urlencode", true, addEncoded, ""},
	{0, "json", true, addJSON, ""},
	{'G', "get", false, toQuery, ""},
	{'F', "form", true, addPart, ""},
	{0, "form-string", true, addString, ""},
	{'u', "user", true, setUser, ""},
	{0, "oauth2-bearer", true, setBearer, ""},
	{'b', "cookie", true, setCookie, ""},
	{'A', "user-agent", true, setAgent, ""},
	{'e', "referer", true, setReferer, ""},
	{'I', "head", false, setHead, ""},
	{0, "url", true, setURL, ""},
	{'T', "upload-file", true, setUpload, ""},
	{'m', "max-time", true, setTimeout, ""},
	{'L', "location", false, follow, ""},
	{0, "follow", false, follow, ""},
	{0, "max-redirs", true, setRedirects, ""},
	{':', "next", false, nextRequest, ""},

	{'k', "insecure", false, warned, "certificates are always checked; the server can be told to trust another authority"},
	{'x', "proxy", true, warned, "it is left out: the proxy is a setting of the server"},
	{'U', "proxy-user", true, warned, "it is left out: the proxy is a setting of the server"},
	{0, "connect-timeout", true, warned, "it is left out: the limit is the server's"},
	{0, "retry", true, warned, "write retry into the step, which says more"},
	{0, "retry-delay", true, warned, "write retry into the step, which says more"},
	{0, "retry-max-time", true, warned, "write retry into the step, which says more"},
	{0, "retry-all-errors", false, warned, "write retry into the step, which says more"},
	{0, "retry-connrefused", false, warned, "write retry into the step, which says more"},
	{0, "digest", false, warned, "a step can't authenticate by digest"},
	{0, "ntlm", false, warned, "a step can't authenticate by NTLM"},
	{0, "negotiate", false, warned, "a step can't authenticate by Negotiate"},
	{0, "anyauth", false, warned, "a step sends the credentials by Basic"},
	{0, "aws-sigv4", true, warned, "a step can't sign for AWS"},
	{'n', "netrc", false, warned, "credentials of a file aren't read; make a secret"},
	{'K', "config", true, warned, "a file of options isn't read; write the options into the command"},
	{'E', "cert", true, warned, certificateNote},
	{0, "cert-type", true, warned, certificateNote},
	{0, "key", true, warned, certificateNote},
	{0, "key-type", true, warned, certificateNote},
	{0, "pass", true, warned, certificateNote},
	{0, "cacert", true, warned, certificateNote},
	{0, "capath", true, warned, certificateNote},
	{0, "pinnedpubkey", true, warned, certificateNote},
	{0, "resolve", true, warned, networkNote},
	{0, "connect-to", true, warned, networkNote},
	{0, "interface", true, warned, networkNote},
	{0, "unix-socket", true, warned, networkNote},
	{0, "socks5", true, warned, networkNote},
	{0, "socks5-hostname", true, warned, networkNote},
	{0, "location-trusted", false, warned, "credentials never go to another origin"},
	{0, "max-filesize", true, warned, "it is left out: the limit is the server's"},
	{'r', "range", true, warned, "write a Range header"},
	{'z', "time-cond", true, warned, "write an If-Modified-Since header"},

	{0, "basic", false, ignored, ""},
	{0, "compressed", false, ignored, ""},
	{0, "cookie-jar", true, ignored, ""},
	{'c', "", true, ignored, ""},
	{0, "create-dirs", false, ignored, ""},
	{'D', "dump-header", true, ignored, ""},
	{'f', "fail", false, ignored, ""},
	{0, "fail-early", false, ignored, ""},
	{0, "fail-with-body", false, ignored, ""},
	{'g', "globoff", false, ignored, ""},
	{0, "http1.0", false, ignored, ""},
	{'0', "", false, ignored, ""},
	{0, "http1.1", false, ignored, ""},
	{0, "http2", false, ignored, ""},
	{0, "http2-prior-knowledge", false, ignored, ""},
	{0, "http3", false, ignored, ""},
	{'i', "include", false, ignored, ""},
	{0, "show-headers", false, ignored, ""},
	{'4', "ipv4", false, ignored, ""},
	{'6', "ipv6", false, ignored, ""},
	{0, "keepalive-time", true, ignored, ""},
	{'N', "no-buffer", false, ignored, ""},
	{0, "no-keepalive", false, ignored, ""},
	{0, "no-progress-meter", false, ignored, ""},
	{'o', "output", true, ignored, ""},
	{0, "output-dir", true, ignored, ""},
	{'O', "remote-name", false, ignored, ""},
	{'J', "remote-header-name", false, ignored, ""},
	{0, "path-as-is", false, ignored, ""},
	{0, "post301", false, ignored, ""},
	{0, "post302", false, ignored, ""},
	{0, "post303", false, ignored, ""},
	{'#', "progress-bar", false, ignored, ""},
	{'q', "disable", false, ignored, ""},
	{'s', "silent", false, ignored, ""},
	{'S', "show-error", false, ignored, ""},
	{0, "ssl-reqd", false, ignored, ""},
	{0, "stderr", true, ignored, ""},
	{0, "tcp-nodelay", false, ignored, ""},
	{0, "tlsv1", false, ignored, ""},
	{'1', "", false, ignored, ""},
	{0, "tlsv1.2", false, ignored, ""},
	{0, "tlsv1.3", false, ignored, ""},
	{0, "trace", true, ignored, ""},
	{0, "trace-ascii", true, ignored, ""},
	{0, "trace-time", false, ignored, ""},
	{'v', "verbose", false, ignored, ""},
	{'w', "write-out", true, ignored, ""},
	{'Z', "parallel", false, ignored, ""},
}

func optionByLong(name string) *option {
	for i := range options {
		if o := &options[i]; o.long == name && name != "" {
			return o
		}
	}
	return nil
}

func optionByShort(c byte) *option {
	for i := range options {
		if o := &options[i]; o.short == c && c != 0 {
			return o
		}
	}
	return nil
}
