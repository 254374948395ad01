// A certificate for registry.test and blobs.test, signed by itself and good for nothing but tests, until 2126. Not a
// test. openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=registry.test
//   -addext subjectAltName=DNS:registry.test,DNS:blobs.test -addext basicConstraints=critical,CA:FALSE

export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtKgpoNvlEVWUDkS0
rd53pfPIeFRNym/tB5/P4kdHFyuhRANCAAQwtMm0gWWpufI8w46UxKhWIyl5Hwke
l5AJzSw/jEXl4pExmONkll9VkjnVkY6kBdjBoz+gHwS1aekW0C9xHQvO
-----END PRIVATE KEY-----
`

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBqjCCAVCgAwIBAgIUZqWy4r2TJJ5Fda2c9z6J/hMXE1cwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNcmVnaXN0cnkudGVzdDAgFw0yNjExMjQxMTA4MzFaGA8yMTI2
MTAzMTExMDgzMVowGDEWMBQGA1UEAwwNcmVnaXN0cnkudGVzdDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABDC0ybSBZam58jzDjpTEqFYjKXkfCR6XkAnNLD+MReXi
kTGY42SWX1WSOdWRjqQF2MGjP6AfBLVp6RbQL3EdC86jdjB0MB0GA1UdDgQWBBQF
vU+wvzP1yJXr10VClH7VkTGweDAfBgNVHSMEGDAWgBQFvU+wvzP1yJXr10VClH7V
kTGweDAkBgNVHREEHTAbgg1yZWdpc3RyeS50ZXN0ggpibG9icy50ZXN0MAwGA1Ud
EwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAwRQIhALP7ER+N9Se+B3cDG4jpc/nDEg0z
jJNLCDaa2MNz9Eg9AiAWiFr1wat3/iTTxTG/Tji8aYPP4Mjz7bXXPSFnzVcv7Q==
-----END CERTIFICATE-----
`
