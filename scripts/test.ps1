# Sets up everything that is missing, then runs the checks and tests (not tested yet).
# usage: scripts\test.ps1 [--all] [what pytest takes]
Set-Location (Join-Path $PSScriptRoot "..")
. .\scripts\setup.ps1
Set-Up
$env:OMP_NUM_THREADS = "1"
$selection = @("-m", "not slow")
$rest = $args
if ($args.Count -gt 0 -and $args[0] -eq "--all") {
    $selection = @()
    $rest = @($args | Select-Object -Skip 1)
}
& .venv\Scripts\python.exe -m pytest @selection @rest
exit $LASTEXITCODE
