// What is often found in a file's place: the pointer of a clone without Git LFS, and the page of a site that was asked
// for the file. Told by the first bytes.

/** The words for such a file, undefined for others. At least four bytes are needed. */
export function impostorOf(bytes: Uint8Array): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 8)).toLowerCase()
  if ('version '.startsWith(start.slice(0, 8)) && start.length >= 4)
    return 'a Git LFS pointer in place of the file: `git lfs pull` fetches it'
  const isPage = ['<!do', '<htm', '<?xm'].some((tag) => start.trimStart().startsWith(tag))
  return isPage ? 'a web page in place of the file: it was not downloaded from where the file is' : undefined
}
