import m from 'mistral-tokenizer-js'
import { Tokenizer } from '../dist/tokenizer/tokenizer.js'
import { openGguf } from '../dist/gguf/openGguf.js'
import { readFileSync } from 'node:fs'
const best = new Map()
for (const [pair, priority] of m.merges) { const piece = pair.replace(' ', ''); best.set(piece, Math.min(best.get(piece) ?? Infinity, priority)) }
const tokens=m.vocabById
const meta=new Map([['tokenizer.ggml.model','llama'],['tokenizer.ggml.tokens',tokens],['tokenizer.ggml.scores',tokens.map(t=>-(best.get(t)??0))],['tokenizer.ggml.token_type',tokens.map((t,i)=>i===0?2:i<3?3:i<259?6:1)],['tokenizer.ggml.bos_token_id',1],['tokenizer.ggml.eos_token_id',2],['tokenizer.ggml.unknown_token_id',0]])
let t0=performance.now(); const tk=Tokenizer.fromGgufMetadata(meta); console.log('load',performance.now()-t0)
const eq=(a,b)=>a.length===b.length&&a.every((x,i)=>x===b[i])
// random
let s=1; const r=n=>{s=(Math.imul(s,1664525)+1013904223)>>>0; return Math.floor(s/4294967296*n)}
const atoms=['a','b','the','  ','   ',' ','\n','\t','é','漢字','🙂','👩‍👩‍👧‍👦','Ελλ','ру','(',')','{','}',';','=','function','return','0','12','\u0000','ü','العربية','▁','_','.',',','ing','tion','Hello','WORLD','\r\n','        ']
let bad=0
for(let i=0;i<20000;i++){ let x=''; const n=1+r(30); for(let j=0;j<n;j++) x+=r(3)?atoms[r(atoms.length)]:String.fromCodePoint(r(4)?32+r(95):r(0xd000)); const a=tk.encode(x), b=m.encode(x); if(!eq(a,b)){bad++; if(bad<4){console.log(JSON.stringify(x),a.map(i=>tokens[i]),b.map(i=>tokens[i]))}} if(tk.decode(a)!==x.replaceAll('▁',' ')) {console.log('decode',JSON.stringify(x))}}
console.log('bad',bad)
const g=await openGguf('models/tiny-mixtral.Q4_K_M.gguf'); const demo=Tokenizer.fromGgufMetadata(g.metadata)
let gb=0; for(const c of JSON.parse(readFileSync('test/golden/demo/tokenizer.json','utf8'))){ const a=demo.encode(c.text,{addBos:false}); if(!eq(a,c.ids)||demo.decode(c.ids)!==c.decoded) {gb++;console.log(c.text,a,c.ids)}}
console.log('golden bad',gb)
// speed
const eng=readFileSync('/work/shared/golden/demo/eval.txt','utf8'); console.log('eval',eng.length)
const code=readFileSync('node_modules/@huggingface/jinja/src/runtime.ts','utf8')
let rnd=''; while(rnd.length<1e6){rnd+=String.fromCharCode(97+r(26)); if(!r(6))rnd+=' '}
let anyt=''; while(anyt.length<1e6) anyt+=String.fromCodePoint(r(2)?32+r(95):0x4e00+r(5000))
for(const [name,u] of [['english',eng],['code',code],['random words',rnd],['ascii+cjk',anyt],['a',  'a'],['spaces',' '],['=','='],['🙂','🙂'],['ab','ab']]){ let x=u; while(x.length<1e6)x+=x; x=x.slice(0,1e6); for(const [n,t] of [['mistral',tk],['demo',demo]]){ const t1=performance.now(); const ids=t.encode(x); const d=performance.now()-t1; const t2=performance.now(); t.decode(ids); console.log(name,n,d.toFixed(0),'ms',(x.length/d/1000).toFixed(1),'Mchar/s', ids.length,'tokens; decode',(performance.now()-t2).toFixed(0))}}
