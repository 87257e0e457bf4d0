"""Spanish: what states a fact, names a subject, shows a mood. Notation: `desk/wording.py`; accents are folded."""

GROUPS: dict[str, str] = {
    "servicio": """
        sitio web pagina plataforma servicio servicios sistema sistemas servidor servidores portal produccion red
        internet todo aplicacion app tienda telefonia correo vpn base programa intranet nube api wifi software
        herramienta cajas
    """,
    "datos": """
        datos archivos ficheros documentos proyectos proyecto contactos registros carpetas carpeta base historial
        copia correos notas fotos imagenes tablas mediciones pedidos mensajes reservas citas todo trabajo clientes
        facturas expedientes
    """,
    "perdido": """
        perdido perdida perdidos perdidas desaparecido desaparecida desaparecidos desaparecidas desaparecio
        desaparecieron borrado borrada borrados borradas borraron borro eliminado eliminada eliminados eliminadas
        sobrescrito corrupto corruptos danado danados
    """,
    "otro": """
        otro otra otros otras ajeno ajena ajenos ajenas
    """,
    "tercero": """
        cliente clientes empresa empresas usuario usuarios paciente pacientes persona personas empleado empleados
        cuenta companero familia compania
    """,
    "gente": """
        usuarios personas empleados companeros clientes miembros sucursales tiendas alumnos puestos trabajadores
        compañeros profesores medicos pacientes oficinas agentes equipos licencias cajas conductores
    """,
    "unidad": """
        equipo empresa oficina departamento tienda fabrica escuela hospital edificio sucursal plantilla organizacion
        clinica colegio almacen despacho compania
    """,
    "dia": """
        hoy manana mediodia lunes martes miercoles jueves viernes sabado domingo
    """,
}

FACTS: dict[str, str] = {
    "outage": """
        {servicio} ~4 (caido|caida|caidos|caidas|inaccesible|inaccesibles|offline|inactivo|muerto|colapsado),
        {servicio} ~4 fuera de (servicio|linea), se (cayo|cayeron) ~3 {servicio}, se ha caido, {servicio} no responde,
        {servicio} ~2 no esta ~1 (disponible|accesible|operativo), caida (total|general|del|de|completa), no ~1
        (disponible|accesible) ~3 (sitio|sistema), nada funciona, no funciona nada, no (carga|abre|va) nada, nadie ~4
        (puede|consigue|logra) ~5 (acceder|entrar|trabajar|iniciar|conectar|conectarse|usar),
        (produccion|actividad|empresa|fabrica) ~2 (parada|detenida|paralizada), interrupcion (total|del|general),
        apagon, (todos|todas|ningun|ninguno) ~5 (no)? ~1 (pueden|puede|podemos) ~4
        (acceder|entrar|trabajar|iniciar|conectar), (todas|cada) ~2 (paginas|pagina|peticiones) ~4
        (500|502|503|504|error|blanco), (ningun|ninguna|ninguno) ~8
        (vender|acceder|entrar|trabajar|conectar|conectarse|cobrar|iniciar|funciona), (no podemos|no pueden) ~1
        (trabajar|vender|cobrar|operar|facturar), (tiendas|oficinas|cajas|sucursales) ~4
        (paradas|cerradas|bloqueadas|caidas), totalmente (parados|caido|bloqueados|paralizados)
    """,
    "security": """
        (brecha|fuga|filtracion|robo|violacion|incidente) de ~1
        (datos|seguridad|informacion|identidad|cuenta|contrasenas), (cuenta|sitio|servidor|web|correo|sistema) ~4
        (hackead*|comprometid*|robad*|secuestrad*|pirateado), hacke*, ransomware, phishing, ciberataque*, malware,
        troyano, (acceso|accesos|inicio|inicios|sesion|transaccion|cargo) ~3
        (autorizad*|sospechos*|desconocid*|extran*|fraudulent*), alguien ~5
        (entrado|entro|accedido|accedio|cambiado|cambio|robado|robo|iniciado|usando|acceso|modificado),
        (ver|veo|vemos|ve|aparecen|aparece|muestra|acceder|recibido|recibimos|salen) ~6 {otro} ~1 {tercero},
        (datos|facturas|factura|contactos|documentos|mensajes|nombres|historiales) ~3 {otro} ~1 {tercero},
        (datos|contrasenas|contrasena|claves|clave|credenciales) ~5
        (expuest*|publicad*|publicos|publicas|publico|filtrad*|robad*|visibles),
        (portatil|movil|ordenador|telefono|tableta) ~3 (robado|robada|robaron), (robado|robaron) ~3
        (portatil|movil|ordenador|telefono), no (fui|he sido) yo, vulnerabilidad*, suplantacion, (ex|antiguo|antigua)
        ~1 (empleado|empleada) ~4 (todavia|aun|sigue) ~3 acceso, yo no (hice|he hecho|solicite|autorice),
        (sesiones|sesion|accesos|inicios) ~4 desde ~3 (extranjero|rusia|china|pais|ciudad|desconocid*), no reconozco,
        nunca he estado, rescate, bitcoin, (codigos|codigo|transferencia|transferencias|pago|pagos) ~6 no ~2
        (solicitado|pedido|autorizado|hecho), (no hemos|no he) ~1 (solicitado|autorizado|pedido)
    """,
    "data_loss": """
        perdida (de|total) ~2 {datos}, (perdido|perdimos|borrado|borraron|eliminado) ~3 {datos}, {datos} ~5 {perdido},
        (no|sin) ~3 (copia|copias) de seguridad, sin respaldo, se (han|ha)? ~1
        (borrado|perdido|eliminado|borro|perdio|perdieron) ~4 {datos}, (todos|todas) ~2 {datos} ~3
        (faltan|vacios|vacias), (copia|copias|respaldo) ~4 (vacia|fallo|corrupta|danada),
        (borre|elimine|borramos|eliminamos) ~3 (error|accidente|sin querer) ~3 {datos}, no ~3 (restaurar|recuperar) ~4
        {datos}, (desaparecido|desaparecieron|desaparecio|perdido|perdieron|borrado|borraron) ~3 {datos},
        (carpeta|proyecto|buzon|base|archivo) ~3 (vacia|vacio), no (tenemos|hay|tengo) ~2 copia
    """,
    "broken": """
        no ~1 (funciona|funcionan|carga|cargan|abre|responde|arranca|inicia|sincroniza|envia|imprime|aparece|aparecen|
        llegan|llega|deja|puedo|podemos|puede|pueden|consigo|conseguimos|muestra|guarda|permite|reconoce|recibo|
        recibimos), imposible, error*, fallo, fallos, falla, fallan, fallando, roto, rota, bloquead*, colgad*,
        averiad*, estropead*, (muy|demasiado) (lento|lenta|lentos), defectuos*, se
        (cuelga|bloquea|cierra|queda|congela), (pantalla|pagina) (en)? ~1 blanco, (dejo|deja|dejado|dejaron) de ~1
        funcionar, (problema|problemas) (con|al|desde|para), (datos|valores|totales|cifras)
        (incorrectos|erroneos|erroneas|incorrectas|duplicados), (esta|estan|sale|salen|aparece) ~1
        (vacio|vacia|vacios|vacias), (falta|faltan)
    """,
    "cosmetic": """
        errata*, borros*, desalinead*, cosmetic*, cortad*, pequeno (error|fallo|detalle|problema), no es ~1
        (grave|urgente), falta de ortografia, color (equivocado|incorrecto)
    """,
    "affected": """
        # ~2 {gente}, (todos|todas|toda|todo) ~2 {gente}, (toda|todo) ~1 {unidad}, nadie, ninguno, todo el mundo,
        todos, (varios|muchos|algunos|numerosos|cientos|decenas) ~2 {gente}, (nuestros|nuestras) {gente}, nuestro ~1
        {unidad}, (todas|todos) ~1 (nuestras|nuestros|las|los), (afecta|afectados|afectadas) ~3 #
    """,
    "revenue_loss": """
        (perdemos|perdiendo|perder|perdido) ~4 (ventas|dinero|clientes|pedidos|euros|ingresos|dolares),
        (clientes|nadie) ~4 (pagar|comprar|pedir), cuesta ~3 (#|dinero|ventas)
    """,
    "money": """
        reembols*, devolucion, devuelv*, (cobrad*|cobraron|cobro|facturad*|cargado|cargaron) ~3
        (dos|doble|duplicad*|indebid*|mas|veces), (cobro|cargo|pago) (doble|duplicado|indebido), (factura|importe) ~1
        (erronea|erroneo|incorrecta|incorrecto|equivocada), nota de credito, doble cobro
    """,
    "deadline": """
        antes ~1 (de|del) ~3 {dia}, antes de (fin|las|la|#), plazo*, vencimiento, esta (noche|tarde), hoy mismo, para
        ~1 {dia}, a mas tardar, en ~1 (una|dos|#) (hora|horas|minutos), fecha limite
    """,
    "workaround": """
        manualmente, mientras tanto, a mano, solucion (temporal|alternativa|provisional), otro navegador, (funciona)
        ~2 (en|con|desde) ~2 (navegador|chrome|firefox|movil|telefono)
    """,
    "question": """
        (como|donde|cuando|cual|cuanto|cuantos|quien|que) ~1
        (puedo|se|es|son|puede|hago|debo|esta|cuesta|podemos|hay|dia),
        (pueden|podrian|puede|podria|existe|hay|aceptan|ofrecen|tienen|es posible), quisiera saber, pregunta*,
        consulta*, duda, dudas, me gustaria saber
    """,
    "request": """
        (pueden|podrian|puede|podria|favor|ruego|necesito|necesitamos) ~4
        (revisar|corregir|restablecer|desbloquear|restaurar|reembolsar|enviar|enviarme|enviarnos|cancelar|eliminar|
        actualizar|cambiar|activar|desactivar|crear|bloquear|devolver|ayudar|ayudarme|comprobar|verificar|arreglar)
    """,
    "feature_wish": """
        sugerencia*, propuesta*, mejora, (seria|estaria) ~3 (bueno|genial|util|bien|ideal|estupendo|fantastico),
        (podrian|podriais|podrias) ~1 (anadir|agregar|incluir|incorporar|implementar), modo oscuro, (nos|me) gustaria
        (que|tener|poder|ver), echo de menos, planes de, nueva (funcion|funcionalidad), hoja de ruta, seria posible
        (anadir|agregar|tener|incluir)
    """,
    "thanks": """
        gracias ~1 (por|a|equipo|mil), muchas gracias a, agradec*, (excelente|gran|buen)
        (trabajo|servicio|equipo|soporte), felicidades, felicitar, enhorabuena, (muy|super)
        (contentos|contento|satisfechos|satisfecho|contenta)
    """,
    "no_trouble": """
        sin prisa, todo bien, no (hay|tengo) prisa, no es urgente, no corre prisa, sin urgencia, nada urgente, solo
        queria
    """,
    "recovered": """
        (esta|fue|ha sido|quedo|ya) ~1 (resuelto|resuelta|solucionado|solucionada|arreglado|restablecido),
        (vuelve|volvio|vuelto) a funcionar, ya (funciona|va), (caida|incidencia) (de|del) (ayer|semana|mes|lunes),
        todo (funciona|va) ~1 bien
    """,
    "legal": """
        abogad*, demanda, demandar, demandare, denuncia*, juzgado, tribunal*, (acciones|medidas|via)
        (legales|judicial*|legal), burofax, organizacion de consumidores, oficina ~2 consumidor, agencia ~2 proteccion
        de datos
    """,
    "authority_change": """
        (quitar|retirar|eliminar|revocar|desactivar|bloquear|dar|quiten|retiren|den|cancelar) ~4
        (acceso|accesos|permisos|cuenta|usuario) ~1 (de|a|del), (cambiar|transferir|modificar) ~4
        (propietari*|titular|administrador*|iban|bancari*), (nuevo|nueva) (iban|cuenta
        bancaria|titular|propietari*|administrador*|gerente|director*), (cuenta|datos) bancari*, ex
        (empleado|empleada), (dejo|dejado|abandonado|ya no trabaja) ~2 (empresa|nosotros|aqui), permisos de
        administrador
    """,
    "instructions_to_ai": """
        (ignora|ignore|ignoren|olvida|olvide) ~4 (instrucciones|reglas|anteriores|indicaciones),
        (nota|mensaje|instruccion) ~3 (asistente|ia|modelo|bot), (asistente|ia)
        (debe|clasifica|clasifique|responde|responda|marca|marque), instrucciones del sistema
    """,
    "several_issues": """
        (dos|tres|cuatro|varias|varios) ~1 (cosas|preguntas|problemas|temas|puntos|cuestiones|asuntos|dudas), ademas,
        otra (cosa|pregunta|cuestion), por otro lado, segundo, en segundo lugar, tambien
    """,
    "off_topic": """
        practicas, curriculum, (solicitud|oferta) de empleo, periodista, proyecto escolar, patrocinio, posicionamiento
        ~2 google, visitar ~2 (oficina|oficinas|empresa)
    """,
    "vague": """
        no ~1 funciona, ayuda, (otra vez|de nuevo) (lo mismo|igual|el mismo), mismo (problema|error), (hay|tengo) un
        problema, llamenme, igual que (siempre|antes|la ultima)
    """,
    "hypothetical": """
        que pasa si, que pasaria, en caso de, evitar, proteger, prevenir, cuestionario, certificacion*, certificad*,
        planificad*, programad*, formacion, podria, podrian, seria, riesgo*
    """,
    "shouting": """
        urgente*, urgencia, inmediatamente, emergencia, critico, ya mismo, cuanto antes, lo antes posible, de
        inmediato, ahora mismo
    """,
}

TAGS: dict[str, str] = {
    "login": "iniciar sesion, inicio de sesion, acceder, entrar",
    "password": "contrasena*, clave, claves",
    "mfa": "doble factor, codigo de verificacion, autenticador",
    "permissions": "permiso*, rol, roles",
    "invoice": "factura*, facturacion",
    "refund": "reembols*, devolucion*",
    "payment": "pago*, cobro*, tarjeta*, transferencia*, domiciliacion",
    "subscription": "suscripcion*, renovacion*, licencia*, plan, contrato",
    "export": "exportar, exportacion, descargar, descarga",
    "import": "importar, importacion, subir",
    "integration": "sincroniz*, conector*, integracion*",
    "notification": "notificacion*, aviso*, recordatorio*",
    "report": "informe*, reporte*, estadistica*",
    "search": "busqueda, buscador",
    "performance": "lento, lenta, lentitud",
    "printing": "imprim*, impresora*, impresion",
    "network": "red",
    "crash": "se cuelga, se cierra",
    "error": "error*, fallo*",
    "regression": "desde ~3 (actualizacion|version), tras ~3 (actualizacion|version)",
    "calendar": "calendario*, agenda, cita, citas",
    "language": "idioma*, traduccion*",
    "privacy": "rgpd, datos personales, privacidad",
    "cancellation": "cancelar, cancelacion, baja",
    "email": "correo, correos",
    "hardware": "pantalla*, teclado*, raton, bateria",
    "how_to": "como (puedo|se|hago), manual, tutorial",
}

CATEGORIES: dict[str, str] = {
    "billing": """
        factura*, facturacion, pago*, pagar, cobro*, cobrad*, cobraron, reembols*, devolucion*, precio*, tarifa*,
        suscripcion*, renovacion, presupuesto, iva, importe, tarjeta*, transferencia*, cuota, licencias, euros, cargo
    """,
    "technical": """
        error*, fallo*, falla, no ~1 (funciona|funcionan|carga|cargan|abre|responde|arranca), se cuelga, lento, lenta,
        servidor, caido, caida, sitio, pagina, sincroniz*, exportar, importar, imprim*, impresora*, actualizacion,
        version, pantalla, aplicacion, red, datos perdidos, perdida de datos, informe*, busqueda, configurar,
        archivos, sistema, (otra|otro|otras|otros) ~1 (empresa|empresas|cliente|clientes|paciente|pacientes),
        desaparecid*, pedidos, desaparecieron
    """,
    "account": """
        iniciar sesion, inicio de sesion, contrasena*, cuenta, bloquead*, acceso, accesos, usuario, perfil, permiso*,
        registro, registrar*, invitacion*, verificacion, doble factor, nuevo (empleado|usuario|companero), eliminar ~3
        (cuenta|usuario)
    """,
    "feature_request": """
        sugerencia*, propuesta, mejora, seria ~3 (bueno|genial|util|bien|ideal|posible), anadir, agregar, incorporar,
        funcionalidad, modo oscuro, nos gustaria, me gustaria que, echo de menos, idea
    """,
    "other": """
        gracias por, gracias a, agradec*, practicas, empleo, prensa, colaboracion, visita*, felicidades, enhorabuena,
        encuesta, curriculum, boletin
    """,
}

MOODS: dict[str, str] = {
    "positive": """
        muchas gracias por, gracias por, excelente*, genial, perfecto, encanta*, feliz, content*, satisfech*,
        agradec*, felicidades, enhorabuena, maravillos*, estupend*, fantastic*
    """,
    "negative": """
        inaceptable*, decepcion*, indignad*, vergonzos*, molest*, hart*, pesim*, horrible*, (tercera|cuarta|segunda)
        vez, (nadie|sin|ninguna) (responde|respuesta|contesta), frustr*, enfadad*, queja*, reclam*, lamentable,
        verguenza, abogad*, ridicul*, estafa, todavia no, fatal, mal servicio
    """,
    "irony": "bravo, enhorabuena, que bien",
}
